"""Measurements: they print data and assert nothing about time."""
