"""Programs for a process of their own, one for each version of TensorRT: see test_device.py.

python -m tests.targets.tensorrt.on_device BINDINGS SCENARIO FOLDER
"""

import ctypes
import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from targets.runtime.measure import Settings
from targets.runtime.tensorrt import device_build, device_engines, device_report, jetson
from targets.runtime.tensorrt import runner as tensorrt_runner
from targets.runtime.tensorrt.build import BuildOptions, build_engine
from targets.runtime.tensorrt.cuda import Cuda
from targets.runtime.tensorrt.engine import EngineProblem
from tests.targets.tensorrt.device_double import CLASSES, SHAPE, DeviceDouble, logits_of

JETSON = jetson.DeviceFacts(
    module="NVIDIA Jetson AGX Orin Developer Kit",
    l4t="36.4.3",
    jetpack="6.2",
    tensorrt="",
    cuda="12.6",
    sm="87",
    memory_mib=62841,
    power_mode="MAXN",
    python="3.10.12",
)


def pictures(count: int) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, *SHAPE), np.uint8)


def fails(match: str, call: Callable[[], object], kind: type[Exception] = Exception) -> None:
    with pytest.raises(kind, match=match):
        call()


def double_is_strict(device: DeviceDouble, _: Path) -> None:
    """What a version has not, or not any more, fails under that version: else the other tests say nothing."""
    trt = device.trt
    major = int(trt.__version__.split(".")[0])
    config = trt.Builder(trt.Logger()).create_builder_config()
    fails("missing", trt.Builder, TypeError)
    fails("takes", lambda: config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1, 2), TypeError)
    fails("unknown", lambda: config.set_memory_pool_limit(pool=1, size=1), TypeError)
    fails("type of", lambda: config.set_memory_pool_limit("WORKSPACE", 1), TypeError)
    fails("cannot be set", lambda: setattr(config, "max_workspace", 1), AttributeError)
    fails("has no", lambda: trt.NoSuchThing, AttributeError)
    removed: dict[int, list[Callable[[], object]]] = {
        10: [lambda: config.max_workspace_size, lambda: trt.make("ICudaEngine").num_bindings],
        11: [lambda: trt.BuilderFlag.INT8, lambda: trt.IInt8Calibrator, lambda: config.int8_calibrator],
    }
    for since, uses in removed.items():
        for use in uses:
            if major >= since:
                fails("has no|no attribute", use, AttributeError)
            else:
                use()
    if major < 10:
        fails("has no|no attribute", lambda: trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED, AttributeError)


def engines_are_built(device: DeviceDouble, folder: Path) -> None:
    trt = device.trt
    strong = int(trt.__version__.split(".")[0]) >= 10
    (folder / "a.onnx").write_bytes(b"a graph")
    said: list[str] = []
    options, cache = BuildOptions(512, 1, 8), folder / "timing.cache"
    for precision in ("int8", "fp16"):
        device.trt.calls.clear()
        plan = build_engine(trt, folder / "a.onnx", precision, options, cache, said.append)
        assert plan.startswith(b"plan of ")
        flags = {str(call[2][0]).rpartition(".")[2] for call in trt.calls if call[1] == "set_flag"}
        assert flags == (set() if strong else {"int8": {"INT8", "FP16"}, "fp16": {"FP16"}}[precision])
        (network,) = [call[2] for call in trt.calls if call[1] == "create_network"]
        known = trt.NetworkDefinitionCreationFlag
        assert network == (1 << int(known.STRONGLY_TYPED if strong else known.EXPLICIT_BATCH),)
        limits = [call[2][1] for call in trt.calls if call[1] == "set_memory_pool_limit"]
        assert limits == [512 << 20]
        (profile,) = [call[2] for call in trt.calls if call[1] == "set_shape"]
        assert [shape[0] for shape in profile[1:]] == [1, 1, 8]
        caches = [call[2][0] for call in trt.calls if call[1] == "create_timing_cache"]
        assert caches == [b"" if precision == "int8" else b"timings"]
    assert said[0] == "building a.onnx"
    (folder / "b.onnx").write_bytes(b"broken")
    fails(
        "cannot read b.onnx: what TensorRT said",
        lambda: build_engine(trt, folder / "b.onnx", "int8", options, cache, said.append),
        EngineProblem,
    )
    trt.answers["Builder", "build_serialized_network"] = lambda *_: None
    fails(
        "cannot build a.onnx",
        lambda: build_engine(trt, folder / "a.onnx", "int8", options, cache, said.append),
        EngineProblem,
    )


def engines_run(device: DeviceDouble, folder: Path) -> None:
    (folder / "plan").write_bytes(b"plan")
    cuda = Cuda.load()
    assert cuda.compute_capability() == "87"
    launches = ctypes.c_int.in_dll(device.library, "double_graph_launches")
    with tensorrt_runner.open_plan(folder / "plan", device.trt, cuda) as runner:
        for count in (1, 8, 11, 3, 1, 1):
            images = pictures(count)
            assert np.array_equal(runner.infer(images), logits_of(images)), count
        assert launches.value >= 2
        assert runner.uses_graphs
        fails("needs uint8", lambda: runner.infer(np.zeros((1, 9, 8, 3), np.uint8)), ValueError)
        fails("needs uint8", lambda: runner.infer(np.zeros((1, *SHAPE), np.float32)), ValueError)
    assert device.library.double_live() == 0  # all memory, streams and graphs are given back
    ctypes.c_int.in_dll(device.library, "double_refuses_to_record").value = 1
    with tensorrt_runner.open_plan(folder / "plan", device.trt, cuda) as runner:
        for _ in range(3):
            assert np.array_equal(runner.infer(pictures(2)), logits_of(pictures(2)))
        assert not runner.uses_graphs
    device.refuses = lambda _: True
    fails("rebuild it on this device", lambda: runner_of(device, folder), EngineProblem)


def runner_of(device: DeviceDouble, folder: Path) -> None:
    with tensorrt_runner.open_plan(folder / "plan", device.trt, Cuda.load()):
        pass


def whole_builds(device: DeviceDouble, folder: Path) -> None:
    """`folder` is an unpacked bundle. Everything is done once, and again only when something changed."""
    facts = replace(JETSON, tensorrt=device.trt.__version__)
    here: Any = device_build
    made: Any = device_engines
    here.read_facts = made.read_facts = lambda: facts
    settings = Settings(min_runs=20, max_runs=20, max_warmup_seconds=0.05)
    measured: Any = device_report.measured

    def quickly(*arguments: Any) -> Any:
        return measured(*arguments[:4], settings, *arguments[5:])

    here.measured = quickly
    write_evaluation(folder)
    engines = folder / "engine"

    def build() -> list[str]:
        said = io.StringIO()
        with redirect_stdout(said):
            assert device_build.main(folder, []) == 0
        return said.getvalue().splitlines()

    first = build()
    assert any("int8: not built on this device yet" in line for line in first)
    report = json.loads((engines / "device.json").read_text())
    assert report["facts"]["power_mode"] == "MAXN"
    assert report["accuracy"]["int8"]["images"] == 16
    assert report["accuracy"]["int8"]["agreement"] == 1.0
    assert report["layers"]["int8"]["reformats"] == ["Reformatting CopyNode 0"]
    assert abs(report["layers"]["int8"]["int8_time_share"] - 0.6) < 1e-6
    for what in ("end_to_end", "compute"):
        assert report["latency"]["int8"][what]["p50_ms"]["value"] > 0
    again = build()
    assert sum("built before" in line for line in again) == 2
    assert any("measured before" in line for line in again)
    (engines / "int8.plan").write_bytes(b"damaged")
    assert any("int8: the file was damaged" in line for line in build())
    facts = replace(facts, l4t="36.4.4")
    assert any("L4T is 36.4.4, was 36.4.3" in line for line in build())
    with tensorrt_runner.open_engine(engines / "int8_qdq.onnx") as runner:
        assert runner.infer(pictures(2)).shape == (2, CLASSES)
    facts = replace(facts, module="another")
    fails(
        "another", lambda: tensorrt_runner.open_engine(engines / "int8_qdq.onnx").__enter__(), EngineProblem
    )
    (engines / "fp16.onnx").write_bytes(b"changed")
    assert device_build.main(folder, []) == 1  # the manifest knows better


def write_evaluation(folder: Path) -> None:
    assert np.load(folder / "evaluation.npz")["images"].shape == (16, *SHAPE)


SCENARIOS = (double_is_strict, engines_are_built, engines_run, whole_builds)


if __name__ == "__main__":
    bindings, name, place = sys.argv[1:]
    scenario = next(one for one in SCENARIOS if one.__name__ == name)
    scenario(DeviceDouble(Path(bindings)), Path(place))
