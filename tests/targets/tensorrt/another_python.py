"""Every scenario of on_device.py in the Python of a JetPack, not this one, with TensorRT's wheel for it.

python -m tests.targets.tensorrt.another_python PYTHON VERSION=WHEEL ...: scripts/jetpack_pythons.sh does it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import ROOT
from tests.targets.tensorrt import scenario_program
from tests.targets.tensorrt.bindings import unpack_found
from tests.targets.tensorrt.candidates_on_device import CANDIDATES
from tests.targets.tensorrt.on_device import SCENARIOS
from tests.targets.tensorrt.unpacked_bundle import write_bundle


def main(python: str, *wheels: str) -> int:
    """Run all, print one line each, and return how many failed."""
    failed = 0
    for version, _, wheel in (one.partition("=") for one in wheels):
        with tempfile.TemporaryDirectory() as scratch:
            bindings = unpack_found(Path(wheel), version, Path(scratch) / version)
            for scenario in (*SCENARIOS, *CANDIDATES):
                place = Path(scratch) / scenario.__name__
                place.mkdir()
                arguments = [str(bindings), scenario.__name__, str(write_bundle(place))]
                command = [python, "-m", scenario_program.__name__, *arguments]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
                verdict = "failed" if done.returncode else "passed"
                sys.stdout.write(f"{version}: {scenario.__name__}: {verdict}\n")
                sys.stdout.flush()
                if done.returncode:
                    sys.stdout.write(done.stdout + done.stderr)
                failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
