#!/usr/bin/env python3
"""The program at the top of an unpacked bundle. See `./run --help`."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER))
    from runtime.classify import main  # type: ignore[import-not-found]  # exists beside the bundle's program

    sys.exit(main(FOLDER))
