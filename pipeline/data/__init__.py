"""Labelled images in common formats, in three disjoint roles, read as a stream. Imports no torch."""
