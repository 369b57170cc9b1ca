#!/usr/bin/env python3
"""The program at the top of an unpacked bundle. See `./run --help`."""

import importlib
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
COMMANDS = {
    "selftest": "selftest",
    "camera": "demo.camera",
    "throughput": "tensorrt.throughput",
    "soak": "sustained.soak",
    "power-modes": "sustained.power_modes",
}
"""First arguments that are commands and not pictures, with the module of each."""

PACKAGES = {"numpy": ("python3-numpy", "numpy"), "cv2": ("python3-opencv", "opencv-python")}
"""What brings the modules that every bundle needs: the package of Debian, and that of PyPI."""


def back_if_unconfirmed() -> None:
    """Run the version before instead, if this one was switched to and never confirmed itself."""
    place = FOLDER.parent.parent
    if FOLDER.parent.name != "versions" or not (place / "trial.json").exists():
        return
    if importlib.import_module("runtime.bundle.install").recovered(place):
        program = place / "current" / "run"
        if not program.exists():
            sys.exit("run: this version did not confirm itself, and there is no earlier one")
        os.execv(sys.executable, [sys.executable, str(program), *sys.argv[1:]])  # noqa: S606 - no shell is meant


def missing(module: str) -> str:
    """Say what to do about a module that this interpreter lacks; the system's takes apt's packages."""
    said = f"run: {sys.executable} has no module {module}. Install it"
    if module not in PACKAGES:
        return said + " and try again."
    debian, pypi = PACKAGES[module]
    system = sys.prefix == "/usr" and Path("/usr/bin/apt").exists()
    return f"{said}: {f'sudo apt install {debian}' if system else f'{sys.executable} -m pip install {pypi}'}"


if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER))
    arguments = sys.argv[1:]
    module = "classify"
    if arguments and arguments[0] in COMMANDS:
        module = COMMANDS[arguments.pop(0)]
    if module != "selftest":
        back_if_unconfirmed()
    try:
        code = importlib.import_module("runtime." + module).main(FOLDER, arguments)
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        sys.exit(missing(str(error.name)))
    except BrokenPipeError:  # the reader has closed its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)
