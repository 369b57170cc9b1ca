#!/usr/bin/env python3
"""The program at the top of an unpacked bundle. See `./run --help`."""

import importlib
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
COMMANDS = {"selftest": "selftest", "camera": "demo.camera"}
"""First arguments that are commands and not pictures, with the module of each."""

if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER))
    arguments = sys.argv[1:]
    module = "classify"
    if arguments and arguments[0] in COMMANDS:
        module = COMMANDS[arguments.pop(0)]
    try:
        code = importlib.import_module("runtime." + module).main(FOLDER, arguments)
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        sys.exit(f"run: the Python module {error.name} is missing on this machine. Install it and try again.")
    except BrokenPipeError:  # the reader has closed its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)
