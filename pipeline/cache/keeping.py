"""The defaults of pruning."""

DAYS = 30.0
"""Default age in days: products that no build has used for longer are pruned."""
LIMIT_GIB = 20.0
"""Default limit: how large the store may be after pruning."""
