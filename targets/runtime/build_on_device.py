#!/usr/bin/env python3
"""Build the engine of an unpacked bundle on this device. See `./build_on_device.py --help`."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER))
    try:
        from runtime.tensorrt.device_build import main  # type: ignore[import-not-found]  # exists beside this program
    except ModuleNotFoundError as error:
        sys.exit(f"build_on_device: the Python module {error.name} is missing. Install it and try again.")
    sys.exit(main(FOLDER))
