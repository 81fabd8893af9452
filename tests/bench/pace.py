"""How often one task is asked about when the cost of a poll is what is measured."""

PAUSE_S = 0.01
