"""Tests that mirror the packages. Their processes share the cores, so each takes one thread."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # libraries read it when they are loaded
# Hundreds of processes load the same modules. Without bytecode on disk, each would compile them again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
