"""Weights out of files: what kind of file it is, where in it the weights lie, and which of them are meant."""
