"""How long, and how much, pruning keeps unless told otherwise."""

DAYS = 30.0
"""Products that no build has used for longer are pruned."""
LIMIT_GIB = 20.0
"""What is left after pruning is at most this much."""
