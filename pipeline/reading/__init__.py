"""Readers of files that others made, of no one subject, and what edgec reads of each at most."""
