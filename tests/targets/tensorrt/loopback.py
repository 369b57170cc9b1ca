"""A Jetson at the other end of a real SSH connection: this machine, with doubles of a Jetson's libraries.

What the doubles do is steered by files in the home folder: hold-STEP lets a step wait (and make held-STEP),
disk-full lets nothing be written for good. Imports little: every step on the "device" loads it anew.
"""

import errno
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.targets.tensorrt.jetpacks import RECORDINGS

CHECKOUT = Path(__file__).resolve().parents[3]
SITE = """
import os
if os.environ.get("EDGEC_BINDINGS"):
    from tests.targets.tensorrt.loopback import become_a_jetson
    become_a_jetson()
"""


def install(folder: Path, jetpack: str, bindings: Path) -> Path:
    """Write a Jetson with this JetPack and TensorRT; returns the folder of its programs."""
    RECORDINGS[jetpack].write(folder)
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(SITE)
    settings = {
        "PYTHONPATH": f"{folder}/site:{CHECKOUT}",
        "LD_LIBRARY_PATH": f"{bindings}/lib",
        "EDGEC_BINDINGS": bindings,
        "EDGEC_ROOT": folder,
    }
    exports = " ".join(f"{name}={value}" for name, value in settings.items())
    python = folder / "bin" / "python3"
    python.write_text(f'#!/bin/sh\nexport {exports}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python.parent


def become_a_jetson() -> None:
    """Run on the "device", before the program: let it see a Jetson."""
    from tests.targets.tensorrt.device_double import DeviceDouble

    DeviceDouble(Path(os.environ["EDGEC_BINDINGS"]))
    root, opened = Path(os.environ["EDGEC_ROOT"]), os.open
    here: Any = os

    def open_on_the_jetson(path: str, *arguments: Any, **named: Any) -> int:
        there = root / path.lstrip("/") if isinstance(path, str) and path.startswith("/") else None
        return opened(there if there is not None and there.is_file() else path, *arguments, **named)

    here.open = open_on_the_jetson  # as `system_files.text_of` opens them
    if Path("disk-full").exists():
        here.fsync = _disk_full
    for step in sys.argv[1:2]:
        if Path(f"hold-{step}").exists():
            Path(f"held-{step}").touch()
            while Path(f"hold-{step}").exists():
                time.sleep(0.02)


def _disk_full(_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
