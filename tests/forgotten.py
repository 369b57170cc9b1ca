"""Asks mypy where the code does not handle something new."""

import fcntl
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import ROOT

OURS_ALONE = ("--config-file=", "--no-site-packages", "--ignore-missing-imports", "--check-untyped-defs")
"""The types of other packages are not read, which takes mypy four times as long as ours."""
MISSED = ("arg-type", "abstract", "union-attr", "list-item", "dict-item", "return-value")
"""The kinds of messages that say so. Other kinds are about types of arrays, which are unknown here."""


def missed(package: str, file: str, old: str, new: str, folder: Path) -> dict[str, set[str]]:
    """Replace `old` by `new` in a file of `package`, and return mypy's messages by file.

    `folder` keeps a cache, which makes the second and later questions fast: `types_of_a_run` is one for all
    workers of a run, who take turns.
    """
    text = (ROOT / file).read_text()
    assert text.count(old) == 1
    patched = Path(tempfile.mkdtemp(dir=folder)) / Path(file).name
    patched.write_text(text.replace(old, new))
    options = ["--cache-dir", str(folder / "cache"), "--shadow-file", file, str(patched), "-p", package]
    command = [sys.executable, "-m", "mypy", *OURS_ALONE, *options]
    with (folder / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found: dict[str, set[str]] = {}
    told = rf"^(\S+):\d+: error: (.*)  \[(?:{'|'.join(MISSED)})\]$"
    for name, message in re.findall(told, done.stdout, re.MULTILINE):
        found.setdefault(name, set()).add(message)
    assert found, done.stdout + done.stderr
    return found
