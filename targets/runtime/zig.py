"""Calls zig, a C compiler that is installed with pip, where it is: on a build machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def run_zig(
    options: Sequence[str], tool: str = "cc", folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one of zig's tools, in a folder.

    Its cache is where ZIG_GLOBAL_CACHE_DIR says, else in the home, else below /tmp.
    """
    environment = dict(os.environ)
    if not {"HOME", "XDG_CACHE_HOME", "ZIG_GLOBAL_CACHE_DIR"} & environment.keys():
        environment["ZIG_GLOBAL_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"edgec-zig-{os.getuid()}")
    command = [sys.executable, "-m", "ziglang", tool, *options]
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=None if folder is None else str(folder),
    )
