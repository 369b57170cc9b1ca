"""The program at the top of a bundle, on a device that lacks what it needs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from targets.runtime import run


def test_a_missing_module_is_named_with_the_command_that_brings_it(tmp_path: Path) -> None:
    """Without its site packages an interpreter has no OpenCV."""
    program = Path(shutil.copy(run.__file__, tmp_path / "run"))
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "classify.py").write_text("import cv2\n")
    ended = subprocess.run(
        [sys.executable, "-S", str(program), "picture.jpg"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"run: {sys.executable} has no module cv2. Install it: ")
    assert ended.stderr.rstrip().endswith(("apt install python3-opencv", "-m pip install opencv-python"))


def test_an_interpreter_of_its_own_is_not_served_by_the_systems_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/pi/env")
    monkeypatch.setattr(sys, "executable", "/home/pi/env/bin/python")
    assert run.missing("cv2").endswith("Install it: /home/pi/env/bin/python -m pip install opencv-python")
    assert run.missing("tensorrt").endswith("has no module tensorrt. Install it and try again.")
