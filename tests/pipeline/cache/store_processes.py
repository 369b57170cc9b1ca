"""Processes that make a stage of a store."""

import subprocess
import sys
import time
from collections.abc import Sequence

from pipeline.cache.code_at_start import ROOT
from pipeline.cache.store import Store

MAKE = """
import sys
from pathlib import Path
from pipeline.progress import Silent
from pipeline.cache.store import Store
from tests.pipeline.cache.notes import Note, Slow
Store(Path(sys.argv[1])).make({"Note": Note, "Slow": Slow}[sys.argv[2]](), Silent())
"""


def process(store: Store, stage: str, inside: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
    """Start a process that makes a stage. inside: a command that starts commands, such as in a container."""
    return subprocess.Popen([*inside, sys.executable, "-c", MAKE, str(store.root), stage], cwd=ROOT)


def held(store: Store, inside: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
    """Start a process that is in the middle of its stage, and stays there."""
    (store.root / "hold").touch()
    started = process(store, "Slow", inside)
    while not (store.root / "started").exists():
        assert started.poll() is None
        time.sleep(0.01)
    return started
