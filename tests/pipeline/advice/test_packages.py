"""What the files of packages advise, where Docker and Triton are doubles: neither runs without a Jetson."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.packages.container import DOCKERFILE, RUN
from pipeline.packages.jetson_graphs import build_script
from pipeline.packages.triton import READ_ME


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_the_package_that_is_named_brings_tensorrt_into_an_image(tmp_path: Path) -> None:
    """The line of the recipe, in an interpreter that has no packages but those in a folder."""
    (line,) = re.findall(r"RUN python3 -c (\".*?\"\n)", DOCKERFILE.replace("\\\n    ", ""), re.S)
    source = line.strip().strip('"')

    def ended() -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-S", "-c", source]
        place = {"PYTHONPATH": str(tmp_path)}
        return subprocess.run(command, env=place, capture_output=True, text=True, check=False)

    first = ended()
    words = "this image has no TensorRT for Python: add python3-libnvinfer to the packages above"
    assert (first.returncode, first.stderr.strip()) == (1, words)
    (tmp_path / "tensorrt.py").touch()  # what python3-libnvinfer installs
    assert ended().returncode == 0


DOCKER = """#!/bin/sh
# The camera is there for a container that was given it.
case "$*" in
*"--device /dev/video0 tiny camera") echo seen ;;
*) echo "camera: /dev/video0 is not there" >&2; exit 1 ;;
esac
"""


def test_a_camera_is_given_to_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It said to add an option, which went to the program in the container."""
    program(tmp_path / "bin" / "docker", DOCKER)
    script = tmp_path / "run-container.sh"
    program(script, RUN.format(tag="tiny", engines="/var/lib/edgec"))
    words = 'Give it a camera by the variable EDGEC_DOCKER="--device /dev/video0".'
    assert words in " ".join(script.read_text().split())
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    def ended() -> int:
        return subprocess.run([script, "camera"], capture_output=True, check=False).returncode

    assert ended() == 1
    (variable,) = re.findall(r'EDGEC_DOCKER="(.*)"', words)
    monkeypatch.setenv("EDGEC_DOCKER", variable)
    assert ended() == 0


PYTHON = """#!/bin/sh
# Of an image with this TensorRT: a builder of engines that only such a one reads.
[ "$(basename "$1")" = build_plan.pyz ] || exit 2
mkdir -p "$(dirname "$5")"
echo VERSION >"$5"
"""


@pytest.mark.parametrize(("builder", "loads"), [("10.3", False), ("10.13", True)])
def test_the_container_of_triton_builds_what_triton_reads(
    builder: str, loads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script takes the TensorRT that is around it, so that its container decides."""
    words = "Triton's TensorRT has to be the one that builds: use its container for both steps."
    assert words in READ_ME
    program(tmp_path / "bin" / "python3", PYTHON.replace("VERSION", builder))
    program(tmp_path / "build_engine.sh", build_script("models/tiny/1/model.plan", "build").decode())
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    subprocess.run([tmp_path / "build_engine.sh"], check=True)
    tritons = "10.13"
    assert ((tmp_path / "models/tiny/1/model.plan").read_text().strip() == tritons) is loads
