"""A Jetson at the other end of a real SSH connection: this machine, with doubles of a Jetson's libraries.

What the doubles do is steered by files in the home folder: hold-STEP lets a step wait (and make held-STEP),
hold-building a build, disk-full lets nothing be written for good. engines.json has the milliseconds that the
engine of an ONNX file takes ("ms"), which are wrong ("wrong"), and which convolution is slower in INT8
("slow"); then there are two DLAs, and only engines take time. runs-graphs lets engines compute what their
ONNX files say, but for the tensor that it names: that comes out as its half. Imports little: every step on
the "device" loads it anew.
"""

import errno
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, cast

from tests.targets.tensorrt.jetpacks import RECORDINGS

CHECKOUT = Path(__file__).resolve().parents[3]
SITE = """
import os
if os.environ.get("EDGEC_BINDINGS"):
    from tests.targets.tensorrt.loopback import become_a_jetson
    become_a_jetson()
"""


def install(folder: Path, jetpack: str, bindings: Path) -> Path:
    """Write a Jetson with this JetPack and TensorRT; returns the folder of its programs."""
    RECORDINGS[jetpack].write(folder)
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(SITE)
    settings = {
        "PYTHONPATH": f"{folder}/site:{CHECKOUT}",
        "LD_LIBRARY_PATH": f"{bindings}/lib",
        "EDGEC_BINDINGS": bindings,
        "EDGEC_ROOT": folder,
    }
    exports = " ".join(f"{name}={value}" for name, value in settings.items())
    python = folder / "bin" / "python3"
    python.write_text(f'#!/bin/sh\nexport {exports}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python.parent


def become_a_jetson() -> None:
    """Run on the "device", before the program: let it see a Jetson."""
    from tests.targets.tensorrt.device_double import DeviceDouble

    device = DeviceDouble(Path(os.environ["EDGEC_BINDINGS"]))
    if Path("engines.json").exists():
        _steer(device, json.loads(Path("engines.json").read_text()))
    if Path("runs-graphs").exists():
        _run_graphs(device, Path("runs-graphs").read_text().strip())
    root, opened = Path(os.environ["EDGEC_ROOT"]), os.open
    here: Any = os

    def open_on_the_jetson(path: str, *arguments: Any, **named: Any) -> int:
        there = root / path.lstrip("/") if isinstance(path, str) and path.startswith("/") else None
        return opened(there if there is not None and there.is_file() else path, *arguments, **named)

    here.open = open_on_the_jetson  # as `system_files.text_of` opens them
    if Path("disk-full").exists():
        here.fsync = _disk_full
    for step in sys.argv[1:2]:
        _wait_while_held(step)


class SteeredClock:
    """A clock that only engines move, so that a busy machine does not decide which of them is the fastest."""

    def __init__(self) -> None:
        self.now_ns = 0

    def spend(self, ms: float) -> None:
        self.now_ns += round(1e6 * ms)

    def perf_counter_ns(self) -> int:
        self.spend(0.001)  # loops that wait for a time come to an end
        return self.now_ns

    def perf_counter(self) -> float:
        return self.perf_counter_ns() / 1e9


def _steer(device: Any, wanted: dict[str, Any]) -> None:
    """Give each engine its own time, and log the flags of builds."""

    def name(built_from: bytes) -> str:
        files = Path("edgec").rglob("*.onnx")
        return next(
            p.name for p in files if hashlib.sha256(p.read_bytes()).hexdigest().encode() == built_from
        )

    known: dict[bytes, str] = {}
    clock, here = SteeredClock(), cast("Any", time)
    here.perf_counter, here.perf_counter_ns = clock.perf_counter, clock.perf_counter_ns

    def computes(built_from: bytes, logits: Any) -> Any:
        known.setdefault(built_from, name(built_from))
        clock.spend(wanted["ms"].get(known[built_from], 3))
        return -logits if known[built_from] in wanted["wrong"] else logits

    def layers_of(built_from: bytes) -> tuple[Any, dict[str, float]]:
        described = [{"Name": one, "LayerType": "CaskConvolution"} for one in ("first", "second")]
        times = {"first": 0.5, "second": 0.5}
        if name(built_from) != "fp16.onnx":
            times[wanted["slow"]] = 0.75
        return {"Layers": described}, times

    def built(built_from: bytes) -> bool:
        flags = [str(call[2][0]).rpartition(".")[2] for call in device.trt.calls if call[1] == "set_flag"]
        with Path("builds.log").open("a") as log:
            log.write(f"{name(built_from)} {' '.join(sorted(flags))}\n")
        device.trt.calls.clear()
        _wait_while_held("building")
        return False

    device.computes, device.layers_of, device.cannot_build = computes, layers_of, built
    device.have_dla()


def _run_graphs(device: Any, halved: str) -> None:
    """Let engines compute with onnxruntime what they were built from."""
    import numpy as np
    import onnx
    import onnxruntime

    sessions: dict[tuple[bytes, ...], Any] = {}

    def session(built_from: bytes, names: list[str]) -> Any:
        key = (built_from, *(name.encode() for name in names))
        if key not in sessions:
            files = [p.read_bytes() for p in Path("edgec").rglob("*.onnx")]
            (data,) = {one for one in files if hashlib.sha256(one).hexdigest().encode() == built_from}
            model = onnx.load_model_from_string(data)
            if halved:
                _halve(model, halved)
            known = {one.name for one in model.graph.output}
            model.graph.output.extend(
                onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in known
            )
            sessions[key] = onnxruntime.InferenceSession(model.SerializeToString())
        return sessions[key]

    def inside(built_from: bytes, names: list[str], images: Any) -> Any:
        found = session(built_from, names).run(names, {"image": images})
        return [np.asarray(one, np.float32) for one in found]

    device.inside = inside


def _halve(model: Any, tensor: str) -> None:
    import numpy as np
    import onnx

    node = next(one for one in model.graph.node if tensor in one.output)
    node.output[0] = f"{tensor}/whole"
    half = onnx.numpy_helper.from_array(np.asarray(0.5, np.float32), "half")
    model.graph.initializer.append(half)
    at = 1 + list(model.graph.node).index(node)
    model.graph.node.insert(at, onnx.helper.make_node("Mul", [f"{tensor}/whole", "half"], [tensor]))


def _wait_while_held(step: str) -> None:
    if Path(f"hold-{step}").exists():
        Path(f"held-{step}").touch()
        while Path(f"hold-{step}").exists():
            time.sleep(0.02)


def _disk_full(_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
