"""A program for a process of its own: one scenario under one version of TensorRT, see test_device.py.

python -m tests.targets.tensorrt.scenario_program BINDINGS SCENARIO FOLDER
"""

import sys
from pathlib import Path

from tests.targets.tensorrt.candidates_on_device import CANDIDATES
from tests.targets.tensorrt.device_double import DeviceDouble
from tests.targets.tensorrt.on_device import SCENARIOS


def main() -> None:
    """Run the scenario that the command line names."""
    bindings, name, place = sys.argv[1:]
    scenario = next(one for one in (*SCENARIOS, *CANDIDATES) if one.__name__ == name)
    scenario(DeviceDouble(Path(bindings)), Path(place))


if __name__ == "__main__":
    main()
