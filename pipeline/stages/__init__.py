"""The steps of a build, one file each. `pipeline/build/compilation.py` and `plan.py` put them in order."""
