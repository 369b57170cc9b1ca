"""The schema of report.json: everything a build claims, each figure with where it was measured.

A figure that was not measured is a `NotMeasured` with its reason: never null, never zero. Units are in names.
"""
