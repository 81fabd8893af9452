"""The edges: one kind of I/O in each module, and no decisions."""
