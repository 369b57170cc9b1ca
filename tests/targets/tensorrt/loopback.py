"""A Jetson at the other end of a real SSH connection: this machine, whose python3 has doubles of its libraries.

What the doubles do can be steered by files in the home folder: hold-STEP lets a step wait (and make held-STEP),
disk-full lets nothing be written for good.
"""

import errno
import os
import sys
import time
from pathlib import Path

from tests.conftest import ROOT
from tests.targets.reach.sshd import Sshd
from tests.targets.tensorrt.jetpacks import RECORDINGS

SITE = """
import os
if os.environ.get("EDGEC_BINDINGS"):
    from tests.targets.tensorrt.loopback import become_a_jetson
    become_a_jetson()
"""


def install(sshd: Sshd, jetpack: str, bindings: Path) -> None:
    """Make the machine behind `sshd` a Jetson with this JetPack, and TensorRT by these bindings."""
    root = sshd.folder / "jetson"
    RECORDINGS[jetpack].write(root)
    (root / "site").mkdir(exist_ok=True)
    (root / "site" / "sitecustomize.py").write_text(SITE)
    python = root / "bin" / "python3"
    python.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={root}/site:{ROOT} LD_LIBRARY_PATH={bindings}/lib EDGEC_BINDINGS={bindings} "
        f'EDGEC_ROOT={root}\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    sshd.use_path(root / "bin")


def become_a_jetson() -> None:
    """Run on the "device", before the program: let it see a Jetson."""
    from tests.targets.tensorrt.device_double import DeviceDouble

    DeviceDouble(Path(os.environ["EDGEC_BINDINGS"]))
    root, read = Path(os.environ["EDGEC_ROOT"]), Path.read_text

    def read_text(path: Path, *arguments: str, **named: str) -> str:
        there = root / path.relative_to("/") if path.is_absolute() else path
        return read(there if there.is_file() else path, *arguments, **named)

    Path.read_text = read_text  # type: ignore[method-assign, assignment]
    if Path("disk-full").exists():
        os.fsync = _disk_full
    for step in sys.argv[1:2]:
        if Path(f"hold-{step}").exists():
            Path(f"held-{step}").touch()
            while Path(f"hold-{step}").exists():
                time.sleep(0.02)


def _disk_full(_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
