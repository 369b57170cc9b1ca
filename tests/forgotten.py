"""Asking mypy where something new is missed."""

import fcntl
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import ROOT


def missed(package: str, file: str, old: str, new: str, folder: Path) -> dict[str, set[str]]:
    """What mypy says of `package` with `old` in a file of it replaced by `new`: messages by file.

    `folder` keeps a cache, which makes the second and later questions fast: `types_of_a_run` is one for all
    workers of a run, who take turns.
    """
    text = (ROOT / file).read_text()
    assert text.count(old) == 1
    patched = Path(tempfile.mkdtemp(dir=folder)) / Path(file).name
    patched.write_text(text.replace(old, new))
    options = ["--cache-dir", str(folder / "cache"), "--shadow-file", file, str(patched), "-p", package]
    command = [sys.executable, "-m", "mypy", *options]
    with (folder / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found: dict[str, set[str]] = {}
    for name, message in re.findall(r"^(\S+):\d+: error: (.*)$", done.stdout, re.MULTILINE):
        found.setdefault(name, set()).add(message)
    assert found, done.stdout + done.stderr
    return found
