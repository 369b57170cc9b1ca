"""Finds where, how and why two forms of one network differ: docs/diff.md."""
