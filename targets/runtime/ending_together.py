"""Runs a command that ends, with all that it has started, when its parent does: PARENT COMMAND [ARGUMENT...].

It is a program of its own, in a session of its own. Linux tells it that the parent, a process number, has
ended, also by SIGKILL; elsewhere only a signal does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

_PARENT_ENDED = 1
"""PR_SET_PDEATHSIG in <linux/prctl.h>."""


def _end_all(*_: object) -> None:
    os.killpg(0, signal.SIGKILL)


def main(parent: str, *command: str) -> int:
    """Return the command's exit status."""
    signal.signal(signal.SIGTERM, _end_all)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_ENDED, signal.SIGTERM)
    if os.getppid() != int(parent):  # it ended before that
        _end_all()
    status = subprocess.call(command)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
