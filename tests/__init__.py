"""Tests that mirror the packages. Their processes share the cores, so each takes one thread."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # libraries read it when they are loaded
