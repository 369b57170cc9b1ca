"""Calls zig, a C compiler that is installed with pip, where it is: on a build machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


_TOGETHER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("ending_together.py")))
"""zig starts compilers and linkers, which a killed build would leave: they hold the lock of its cache."""


def run_zig(
    options: Sequence[str], sources: Sequence[Path], output: Path
) -> subprocess.CompletedProcess[str]:
    """Run `zig cc`. Its cache is where ZIG_GLOBAL_CACHE_DIR says, else in the home, else below /tmp.

    It runs in the root folder. In a folder that holds zig itself, such as a checkout with its environment,
    zig compiles the C library for that folder alone, which takes half a minute.
    """
    return _run(
        ["cc", *options, *(str(source.absolute()) for source in sources), "-o", str(output.absolute())]
    )


def archive(objects: Sequence[Path], output: Path) -> subprocess.CompletedProcess[str]:
    """Write objects into a library for linkers, whose bytes depend on them alone."""
    return _run(["ar", "rcsD", str(output.absolute()), *(str(path.absolute()) for path in objects)])


def _run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if not {"HOME", "XDG_CACHE_HOME", "ZIG_GLOBAL_CACHE_DIR"} & environment.keys():
        environment["ZIG_GLOBAL_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"edgec-zig-{os.getuid()}")
    command = [*_TOGETHER, str(os.getpid()), sys.executable, "-m", "ziglang", *arguments]
    with subprocess.Popen(
        command,
        cwd="/",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, errors = process.communicate()
        except BaseException:  # Ctrl-C, which does not reach another session
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, printed, errors)
