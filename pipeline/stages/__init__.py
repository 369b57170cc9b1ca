"""The steps of a build, one file each. `pipeline/build/plan.py` puts them in order."""
