"""Experiments: which recipes, layers and numbers of images give which accuracy."""
