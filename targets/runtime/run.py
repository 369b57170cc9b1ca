#!/usr/bin/env python3
"""The program at the top of an unpacked bundle. See `./run --help`."""

import os
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER))
    try:
        from runtime.classify import main  # type: ignore[import-not-found]  # exists beside this program

        code = main(FOLDER)
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        sys.exit(f"run: the Python module {error.name} is missing on this machine. Install it and try again.")
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)
