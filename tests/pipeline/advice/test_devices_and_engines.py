"""What messages about devices, and about engines that run elsewhere, advise."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.difference.opened_side import opened_side
from pipeline.difference.side import Side
from pipeline.errors import UsageError
from targets.devices import jetsons
from targets.errors import DeviceThrottled, TargetUnavailable
from targets.reach import remote
from targets.reach.finished import Finished
from targets.runtime import cpu, native_runner
from targets.runtime.demo import camera
from targets.runtime.demo.sources.find import find_source
from targets.runtime.demo.sources.source import SourceError
from targets.runtime.machine import MachineState
from targets.runtime.measure import Measurement, Settings
from targets.runtime.tensorrt import device_engines
from targets.runtime.tensorrt.build import BuildOptions
from targets.runtime.tensorrt.engine import EngineProblem
from targets.runtime.tensorrt.jetson import DeviceFacts
from targets.tensorrt import device as over_ssh
from targets.tensorrt.device import JetsonOnDevice
from targets.tvm.cpu_target import compile_engine
from targets.tvm.isa import ISAS
from tests.pipeline.advice.followed import check_advice, check_other_words
from tests.targets.tvm.qdq_model import small_classifier

ORIN = DeviceFacts("NVIDIA Jetson Orin Nano", "36.4.3", "6.2", "10.3.0", "12.6", "87", 7620, "MAXN", "3.10")


@dataclass
class WarmDevice:
    """A device that throttles until it is cooled."""

    address: str = "ssh://pi"
    warm: bool = True

    def run(self, argv: list[str]) -> Finished:
        state = MachineState(("performance",), (), None, None, 50.0, 4)
        after = state._replace(limits=("under-voltage",)) if self.warm else state
        made = Measurement((1, 2), 1, 0, 1, True, "precise", 0.0, state, after, None)
        return Finished(0, json.dumps([asdict(made)]), "")

    def cool(self) -> None:
        self.warm = False


def test_cooling_the_device_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "COOLING_SECONDS", 0)
    monkeypatch.setattr(remote, "run_alone", WarmDevice.run)
    device: Any = WarmDevice()
    check_advice(
        "no result. Cool it, or give it a stronger power supply",
        lambda: remote.measure_unthrottled(device, ["measure"], Settings(), 1),
        device.cool,
        DeviceThrottled,
    )


@pytest.mark.parametrize("given", ["jetson-thor", "jetson-xavier-nx"])
def test_the_target_that_is_named_is_for_the_device(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_ssh, "module_facts", lambda _: ORIN)
    reached: Any = WarmDevice("ssh://jetson")
    names = [given]

    def attempt() -> None:
        JetsonOnDevice(jetsons()[names[-1]], reached).check()

    with pytest.raises(TargetUnavailable, match="Orin Nano") as refused:
        attempt()
    named = str(refused.value).rpartition("Give --target ")[2].rstrip(".").split(" or ")
    assert "jetson-orin-nano" in named
    for name in named:
        names.append(name)
        attempt()


def test_a_gpu_without_a_target_is_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_ssh, "module_facts", lambda _: replace(ORIN, sm="121"))
    reached: Any = WarmDevice("ssh://jetson")
    with pytest.raises(TargetUnavailable, match=r"No target is for sm_121\."):
        JetsonOnDevice(jetsons()["jetson"], reached).check()


TRTEXEC = """#!{python}
import sys
from pathlib import Path
print("&&&& RUNNING TensorRT.trtexec [TensorRT v100300]")
options = dict(argument[2:].partition("=")[::2] for argument in sys.argv[1:])
if "saveEngine" in options:
    Path(options["saveEngine"]).write_text("engine")
    Path(options["timingCacheFile"]).write_text("times")
"""


def test_building_on_the_device_again_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an update of its system. What ./build_on_device.py runs builds by a double of trtexec."""
    (tmp_path / "trtexec").write_text(TRTEXEC.format(python=sys.executable))
    (tmp_path / "trtexec").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    facts = [replace(ORIN, tensorrt="")]
    monkeypatch.setattr(device_engines, "read_facts", lambda: facts[-1])
    for name in ("int8_qdq_fp16.onnx", "fp16.onnx"):
        small_classifier(tmp_path / name, 8)

    def build() -> None:
        device_engines.make_engines(tmp_path, facts[-1], BuildOptions(), lambda _: None)

    build()
    facts.append(replace(facts[0], l4t="36.5.0"))
    check_advice(
        "L4T is 36.5.0, was 36.4.3. Run ./build_on_device.py again",
        lambda: device_engines.usable(tmp_path, "int8"),
        build,
        EngineProblem,
    )


def test_an_engine_of_this_machine_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the first is for instructions that this processor, as it says, has not got."""
    here = [name for name in ISAS if cpu.why_not(name) is None]
    if len(here) < 2:
        pytest.skip("This machine has fewer than two of the instruction sets of engines.")
    folders = [tmp_path / "better", tmp_path / "here"]
    for folder, name in zip(folders, (here[0], here[-1]), strict=True):
        folder.mkdir()
        graph = small_classifier(folder / "model.int8.onnx", 8)
        compile_engine(graph, ISAS[name], folder / "model.engine")
    true = cpu.why_not
    for place in (cpu, native_runner):
        monkeypatch.setattr(place, "why_not", lambda name: "it is older" if name == here[0] else true(name))

    def attempt() -> None:
        with opened_side(folders[0]) as side:
            assert isinstance(side, Side)
            side.logits(np.zeros((1, 8, 8, 3), np.uint8))

    words = "does not run here. Compare it where it runs: give --device, or the folder"
    check_advice(words, attempt, lambda: folders.pop(0), UsageError)


Said = pytest.CaptureFixture[str]


def test_leaving_the_target_out_helps_the_demo(
    quick: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.setattr(camera, "run", lambda demo, _: 0 if demo.manifest.target == "reference" else 1)
    here: list[object] = ["demo", "--config", quick, "--out", out]
    words = "and use `./run camera` there; or leave --target out."
    check_other_words(words, [*here, "--target", "jetson"], here, capsys)


@pytest.mark.skipif(
    not shutil.which("gst-inspect-1.0")
    or subprocess.run(["gst-inspect-1.0", "--exists", "jpegenc"], check=False).returncode != 0,
    reason="no GStreamer with jpegenc here: apt install gstreamer1.0-tools gstreamer1.0-plugins-good",
)
def test_gstreamer_through_a_pipe_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "GStreamer:                   NO")
    film = "videotestsrc num-buffers=3"
    given = [f"gst:{film}"]

    def attempt() -> None:
        frames = [frame for frame in find_source(given[-1]).open() if frame is not None]
        assert [frame.image.shape for frame in frames] == [(240, 320, 3)] * 3

    words = "without GStreamer; give pipe:gst-launch-1.0 -q ... ! jpegenc ! fdsink"
    heed: Callable[[], object] = lambda: given.append(f"pipe:gst-launch-1.0 -q {film} ! jpegenc ! fdsink")  # noqa: E731
    check_advice(words, attempt, heed, SourceError)
