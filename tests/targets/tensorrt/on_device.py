"""Scenarios of the device's code under each version of TensorRT: see scenario_program.py."""

from __future__ import annotations

import ctypes
import hashlib
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from targets.runtime.measure import Settings
from targets.runtime.tensorrt import (
    device_build,
    device_engines,
    device_report,
    jetson,
)
from targets.runtime.tensorrt import runner as tensorrt_runner
from targets.runtime.tensorrt.build import BuildOptions, build_engine, created, make_logger
from targets.runtime.tensorrt.candidate import candidates
from targets.runtime.tensorrt.cuda import Cuda
from targets.runtime.tensorrt.engine import EngineProblem
from tests.targets.tensorrt.device_double import CLASSES, SHAPE, DeviceDouble, logits_of
from tests.targets.tensorrt.two_convolutions import two_convolutions

Scenario = Callable[[DeviceDouble, Path], None]
"""Takes the double of a device, and a folder with an unpacked bundle."""

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
    """What a version lacks fails under that version; otherwise the other tests would show nothing."""
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
    options, cache = BuildOptions(512), folder / "timing.cache"
    tried = candidates(trt.__version__)
    assert len(tried) == (4 if strong else 2)
    for candidate in tried:
        device.trt.calls.clear()
        plan = build_engine(trt, folder / "a.onnx", candidate, options, cache, said.append)
        assert plan.startswith(b"plan of ")
        flags = {str(call[2][0]).rpartition(".")[2] for call in trt.calls if call[1] == "set_flag"}
        by_flags = {"INT8", "FP16"} if candidate.int8 else {"FP16"}
        assert flags == (set() if candidate.strongly_typed else by_flags)
        (network,) = [call[2] for call in trt.calls if call[1] == "create_network"]
        known = trt.NetworkDefinitionCreationFlag
        assert network == (
            1 << int(known.STRONGLY_TYPED if candidate.strongly_typed else known.EXPLICIT_BATCH),
        )
        limits = [call[2][1] for call in trt.calls if call[1] == "set_memory_pool_limit"]
        assert limits == [512 << 20]
        (profile,) = [call[2] for call in trt.calls if call[1] == "set_shape"]
        assert [shape[0] for shape in profile[1:]] == [1, 1, 1]
        caches = [call[2][0] for call in trt.calls if call[1] == "create_timing_cache"]
        assert caches == [b"" if candidate is tried[0] else b"timings"]
        (accepted,) = [call[2][1] for call in trt.calls if call[1] == "set_timing_cache"]
        assert accepted is False  # times of another device are not to be used
    assert said[0] == "building a.onnx"
    device.trt.calls.clear()
    int8 = tried[0]
    build_engine(trt, folder / "a.onnx", int8, replace(options, largest_batch=8), cache, said.append)
    (profile,) = [call[2] for call in trt.calls if call[1] == "set_shape"]
    assert [shape[0] for shape in profile[1:]] == [1, 1, 8]
    trt.answers["IBuilderConfig", "set_timing_cache"] = lambda *_: False
    build_engine(trt, folder / "a.onnx", int8, options, cache, said.append)
    assert "timing.cache is of another device or TensorRT: all kernels are timed again" in said
    assert [call[2][0] for call in trt.calls if call[1] == "create_timing_cache"][-1] == b""
    (folder / "b.onnx").write_bytes(b"broken")
    fails(
        "cannot read b.onnx: what TensorRT said",
        lambda: build_engine(trt, folder / "b.onnx", int8, options, cache, said.append),
        EngineProblem,
    )
    trt.answers["Builder", "build_serialized_network"] = lambda *_: None
    fails(
        "cannot build a.onnx",
        lambda: build_engine(trt, folder / "a.onnx", int8, options, cache, said.append),
        EngineProblem,
    )


def a_library_that_makes_nothing_is_an_error_in_words(device: DeviceDouble, folder: Path) -> None:
    """The genuine classes over dummy libraries, which return null as the real ones do without a GPU."""
    genuine = device.trt.genuine
    logger = make_logger(genuine)
    for kind in (genuine.Builder, genuine.Runtime):
        fails("factory function returned nullptr", partial(kind, logger), TypeError)
        logger.errors[:] = ["CUDA initialization failure with error: 35"]
        fails("start here: CUDA init.* 35", partial(created, kind, logger), EngineProblem)
        logger.errors.clear()
    fails("incompatible|argument", lambda: created(genuine.Builder, 1), TypeError)  # a fault of ours
    (folder / "plan").write_bytes(b"a plan, or a graph")
    int8 = candidates(genuine.__version__)[0]
    uses: tuple[Callable[[], object], ...] = (
        tensorrt_runner.open_plan(folder / "plan", genuine, Cuda.load()).__enter__,
        partial(build_engine, genuine, folder / "plan", int8, BuildOptions(), folder / "cache", print),
    )
    for use in uses:
        fails("TensorRT cannot start here: ", use, EngineProblem)


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
    mapped = ctypes.c_int.in_dll(device.library, "double_mapped")
    assert mapped.value == 0
    with tensorrt_runner.open_plan(folder / "plan", device.trt, cuda, in_place=True) as runner:
        for count in (1, 8, 11, 1, 1):
            assert np.array_equal(runner.infer(pictures(count)), logits_of(pictures(count))), count
    assert mapped.value == 2
    assert device.library.double_live() == 0
    device.trt.answers["ICudaEngine", "get_tensor_profile_shape"] = lambda *_: [(4, *SHAPE)] * 3
    with tensorrt_runner.open_plan(folder / "plan", device.trt, cuda) as runner:
        for count in (1, 4, 6):  # the engine takes four at a time
            assert np.array_equal(runner.infer(pictures(count)), logits_of(pictures(count))), count
    del device.trt.answers["ICudaEngine", "get_tensor_profile_shape"]
    (folder / "one.plan").write_bytes(b"plan of one for 1,1,1")
    with tensorrt_runner.open_plan(folder / "one.plan", device.trt, cuda) as runner:
        assert np.array_equal(runner.infer(pictures(3)), logits_of(pictures(3)))
        fails("takes 1 to 1 images at a time, not 8", lambda: runner.run(8, copies=False), EngineProblem)
    types = device.trt.answers["ICudaEngine", "get_tensor_dtype"]
    half = {"image": device.trt.DataType.UINT8, "logits": device.trt.DataType.HALF}
    device.trt.answers["ICudaEngine", "get_tensor_dtype"] = half.__getitem__
    fails(r"logits is .*HALF, not .*FLOAT", lambda: runner_of(device, folder), EngineProblem)
    device.trt.answers["ICudaEngine", "get_tensor_dtype"] = types
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


class BuildingDevice:
    """A device on which `folder`, an unpacked bundle, is built; what it says of itself can be changed."""

    def __init__(self, device: DeviceDouble, folder: Path) -> None:
        self.folder, self.engines = folder, folder / "engine"
        self.facts = replace(JETSON, tensorrt=device.trt.__version__)
        self.clocks_can_be_locked = False
        here: Any = device_build
        made: Any = device_engines
        here.read_facts = made.read_facts = lambda: self.facts
        here.can_be_locked = lambda: self.clocks_can_be_locked
        self.settings = Settings(min_runs=20, max_runs=20, max_warmup_seconds=0.05)
        measured: Any = device_report.measured
        here.measured = lambda *given: measured(*given[:4], self.settings, *given[5:])

    def build(self, *options: str) -> str:
        """Return what the program said."""
        said = io.StringIO()
        with redirect_stdout(said):
            assert device_build.main(self.folder, list(options)) == 0
        return said.getvalue()

    def read(self, name: str) -> Any:
        return json.loads((self.engines / name).read_text())


def whole_builds(device: DeviceDouble, folder: Path) -> None:
    """Everything is done once, and again only when something changed."""
    jetson = BuildingDevice(device, folder)
    engines = jetson.engines
    assert "int8: not built on this device yet" in jetson.build()
    report = jetson.read("device.json")
    assert report["facts"]["power_mode"] == "MAXN"
    assert report["accuracy"]["int8"]["images"] == 16
    assert report["accuracy"]["int8"]["agreement"] == 1.0
    assert report["layers"]["int8"]["reformats"] == ["Reformatting CopyNode 0"]
    assert (report["layers"]["int8"]["int8_layers"], report["layers"]["int8"]["int8_written"]) == (1, 0)
    assert abs(report["layers"]["int8"]["int8_time_share"] - 0.6) < 1e-6
    for what in ("end_to_end", "compute"):
        assert report["latency"]["int8"][what]["p50_ms"]["value"] > 0
    again = jetson.build()
    assert again.count("built before") == len(candidates(device.trt.__version__))
    assert "measured before" in again
    (engines / "int8.plan").write_bytes(b"damaged")
    assert "int8: the file was damaged" in jetson.build()
    jetson.facts = replace(jetson.facts, l4t="36.4.4")
    assert "L4T is 36.4.4, was 36.4.3" in jetson.build()
    with tensorrt_runner.open_engine(engines / "int8_qdq.onnx") as runner:
        assert runner.infer(pictures(2)).shape == (2, CLASSES)
    jetson.facts = replace(jetson.facts, module="another")
    fails(
        "another", lambda: tensorrt_runner.open_engine(engines / "int8_qdq.onnx").__enter__(), EngineProblem
    )
    (engines / "fp16.onnx").write_bytes(b"changed")
    assert device_build.main(folder, []) == 1  # its digest is not that of the manifest


def what_decides_a_measurement_makes_a_new_one(device: DeviceDouble, folder: Path) -> None:
    jetson = BuildingDevice(device, folder)
    jetson.build()
    choice = jetson.read("chosen.json")
    assert (choice["precision"], choice["in_place"]) == ("fp16", jetson.read("device.json")["in_place"])
    assert "16 images do not show that int8 loses at most 1.00 points" in choice["why"]
    assert "max drop is 50.0, was 1.0" in jetson.build("--max-drop", "50")
    assert "images do not show" not in jetson.read("chosen.json")["why"]
    jetson.build()
    assert "keep clocks is True, was False" in jetson.build("--keep-clocks")
    jetson.build()
    jetson.clocks_can_be_locked = True  # as under sudo
    assert "clocks can be locked is True, was False" in jetson.build()
    jetson.facts = replace(jetson.facts, power_mode="15W")
    said = jetson.build()
    assert "int8: the power mode is 15W, was MAXN" in said
    assert "measured again: power mode is 15W, was MAXN" in said
    assert len(list(jetson.engines.glob("timing-*.cache"))) == 2  # one a mode
    assert "measured before" in jetson.build()


def broken_engines_are_not_chosen(device: DeviceDouble, folder: Path) -> None:
    """FP16 that overflows is not the one to fall back to; where nothing is right, nothing is chosen."""
    fp16 = hashlib.sha256((folder / "engine" / "fp16.onnx").read_bytes()).hexdigest().encode()
    broken = {fp16}

    def computes(built_from: bytes, logits: Any) -> Any:
        return np.full_like(logits, np.nan) if built_from in broken else logits

    device.computes = computes
    jetson = BuildingDevice(device, folder)
    said = jetson.build("--max-drop", "50", "--quick")
    words = "fp16 gives logits that are not numbers for 16 of 16 images"
    assert f"{words}: others are compared with the validated logits" in said
    choice = jetson.read("chosen.json")
    assert choice["precision"] == "int8"
    assert choice["why"].endswith(words)
    assert jetson.read("device.json")["accuracy"]["fp16"]["top1"] == 0
    broken |= {
        hashlib.sha256(path.read_bytes()).hexdigest().encode() for path in jetson.engines.glob("*.onnx")
    }
    (jetson.engines / "device.json").unlink()
    said_of_it = io.StringIO()
    with redirect_stderr(said_of_it):
        assert device_build.main(folder, ["--max-drop", "50", "--quick"]) == 1
    assert "no engine is chosen: fp16 gives" in said_of_it.getvalue()
    assert "int8 gives logits that are not numbers" in said_of_it.getvalue()


def a_batch_is_whole_though_there_are_fewer_images(device: DeviceDouble, folder: Path) -> None:
    """16 images are in the bundle; what is called batch 32 has 32 images."""
    jetson = BuildingDevice(device, folder)
    jetson.settings = replace(jetson.settings, batch=32)
    device.trt.calls.clear()
    jetson.build("--batch", "32", "--quick")
    shapes = {call[2][1][0] for call in device.trt.calls if call[1] == "set_input_shape"}
    assert shapes == {32}


def sparse_weights_are_told_to_the_builder(device: DeviceDouble, folder: Path) -> None:
    """Kernels for 2:4 weights are tried where a network has such, and there alone."""
    trt, int8 = device.trt, candidates(device.trt.__version__)[0]
    for weights, expected in ((np.ones((4, 4, 1, 1), np.int8), False), (np.eye(4, dtype=np.int8), True)):
        (folder / "a.onnx").write_bytes(two_convolutions(weights.reshape(4, 4, 1, 1)))
        trt.calls.clear()
        build_engine(trt, folder / "a.onnx", int8, BuildOptions(), folder / "timing.cache", lambda _: None)
        flags = {str(call[2][0]).rpartition(".")[2] for call in trt.calls if call[1] == "set_flag"}
        assert ("SPARSE_WEIGHTS" in flags) == expected


SCENARIOS = (
    double_is_strict,
    engines_are_built,
    a_library_that_makes_nothing_is_an_error_in_words,
    engines_run,
    whole_builds,
    what_decides_a_measurement_makes_a_new_one,
    sparse_weights_are_told_to_the_builder,
    broken_engines_are_not_chosen,
    a_batch_is_whole_though_there_are_fewer_images,
)
