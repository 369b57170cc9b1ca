"""The steps of a build, one file each. `pipeline/plan.py` puts them in order."""
