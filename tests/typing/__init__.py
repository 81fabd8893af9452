"""What the type checkers see of the public names; nothing here is run."""
