"""Scenarios of candidates, played like those of on_device.py: versions differ in being strongly typed."""

from __future__ import annotations

import hashlib
import io
import json
import re
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from targets.runtime.bundle.manifest import NAME
from targets.runtime.tensorrt import build_plan, throughput
from tests.targets.tensorrt.device_double import DeviceDouble
from tests.targets.tensorrt.on_device import JETSON, BuildingDevice
from tests.targets.tensorrt.two_convolutions import two_convolutions


def slow_layers_go_to_float(device: DeviceDouble, folder: Path) -> None:
    """The second convolution is slower in INT8; one candidate cannot be built, and is not tried again."""
    strong = not device.trt.__version__.startswith("8")
    base = folder / "engine" / ("int8_half.onnx" if strong else "int8_qdq.onnx")
    change(folder, base, two_convolutions(np.ones((3, 3, 1, 1), np.int8)))
    fp16 = hashlib.sha256((folder / "engine" / "fp16.onnx").read_bytes()).hexdigest().encode()
    weak = hashlib.sha256((folder / "engine" / "int8_qdq.onnx").read_bytes()).hexdigest().encode()
    layers = {"Layers": [{"Name": name, "LayerType": "CaskConvolution"} for name in ("first", "second")]}

    def layers_of(built_from: bytes) -> tuple[Any, dict[str, float]]:
        return layers, {"first": 0.5, "second": 0.5 if built_from == fp16 else 0.75}

    device.layers_of = layers_of
    device.cannot_build = lambda built_from: strong and built_from == weak
    jetson = BuildingDevice(device, folder)
    said = jetson.build()
    assert "slower in INT8 are 1 of 2 convolutions: second" in said
    report = jetson.read("device.json")
    trials = {trial["name"]: trial for trial in report["candidates"]}
    assert ("int8_qdq" in trials) == strong
    if strong:
        assert "cannot build int8_qdq.onnx" in trials["int8_qdq"]["problem"]
    assert [cost["is_slower"] for cost in report["layer_costs"]] == [False, True]
    assert set(report["latency"]) == set(report["keys"]) == {n for n, t in trials.items() if not t["problem"]}
    assert "mixed" in report["latency"]
    mixed = onnx.load(jetson.engines / "mixed.onnx")
    kinds = [node.op_type for node in mixed.graph.node]
    assert (kinds.count("QuantizeLinear"), kinds.count("Conv")) == (1, 2)
    again = jetson.build()
    assert "measured before" in again
    assert "building" not in again
    jetson.engines.joinpath("device.json").unlink()  # as if it was interrupted while it measured
    resumed = jetson.build()
    assert "building" not in resumed
    assert "comparing" not in resumed
    assert "mixed: built before" in resumed
    quick = jetson.build("--quick")
    assert "quick is True, was False" in quick
    assert set(jetson.read("device.json")["latency"]) == {"int8", "fp16"}


def throughput_by_batch_and_streams(device: DeviceDouble, folder: Path) -> None:
    """Every batch has its engine, every stream its context; what was measured is not measured again."""
    jetson = BuildingDevice(device, folder)
    here: Any = throughput
    here.read_facts = lambda: jetson.facts
    jetson.build("--quick")
    said = io.StringIO()
    device.trt.calls.clear()
    options = ["--batches", "1", "4", "--streams", "3", "--seconds", "0.02", "--keep-clocks"]
    with redirect_stdout(said):
        assert throughput.main(folder, options) == 0
    shapes = [call[2] for call in device.trt.calls if call[1] == "set_shape"]
    assert [[shape[0] for shape in one[1:]] for one in shapes] == [[1] * 3, [4] * 3]
    assert "knee: batch" in said.getvalue()
    points = [one["point"] for one in json.loads((folder / "throughput.json").read_text())]
    assert [(p["batch"], p["streams"], p["graphs"]) for p in points] == [
        (batch, streams, graphs)
        for batch in (1, 4)
        for streams, graphs in ((1, False), (1, True), (2, True), (3, True))
    ]
    assert device.library.double_live() == 0
    again = io.StringIO()
    with redirect_stdout(again):
        assert throughput.main(folder, options) == 0
    assert again.getvalue().count("built before") == 2
    assert "images a second\n" not in again.getvalue().partition("batch  ")[0]
    assert throughput.main(folder, ["--batches", "0"]) == 1


def a_dla_is_tried_where_there_is_one(device: DeviceDouble, folder: Path) -> None:
    """Without Q/DQ, with ranges; what it leaves to the GPU is named. TensorRT 11 has no way to use it."""
    trt = device.trt
    knows = int(trt.__version__.split(".")[0]) <= 10
    base = folder / "engine" / "int8_qdq.onnx"
    change(folder, base, two_convolutions(np.ones((3, 3, 1, 1), np.int8)))
    jetson = BuildingDevice(device, folder)
    jetson.build()
    assert "dla" not in jetson.read("device.json")["keys"]
    device.have_dla()
    trt.calls.clear()
    said = jetson.build()
    assert ("dla" in jetson.read("device.json")["keys"]) == knows
    if not knows:
        return
    assert "the DLA leaves 1 of 2 layers to the GPU" in said
    trials = {trial["name"]: trial for trial in jetson.read("device.json")["candidates"]}
    assert trials["dla"]["what"].endswith("; on the GPU: second")
    told = [call[1:] for call in trt.calls if call[0] in ("IBuilderConfig", "ITensor")]
    assert ("DLA_core", (0,)) in told
    assert ("default_device_type", (trt.DeviceType.DLA,)) in told
    assert ("set_flag", (trt.BuilderFlag.GPU_FALLBACK,)) in told
    assert ("dynamic_range", ((-63.5, 63.5),)) in told  # 127 times the scale
    written = onnx.load(jetson.engines / "dla.onnx")
    assert [node.op_type for node in written.graph.node] == ["Conv", "Conv"]
    assert ("Runtime", "DLA_core", (0,)) in trt.calls
    assert "built before" in jetson.build()
    trt.calls.clear()
    change(folder, base, two_convolutions(np.ones((3, 3, 1, 1), np.int8), rounded_to=0.25))
    written_before = (jetson.engines / "dla.onnx").read_bytes()
    assert "dla: " in jetson.build()
    assert (jetson.engines / "dla.onnx").read_bytes() == written_before  # only the ranges differ
    assert ("ITensor", "dynamic_range", ((-31.75, 31.75),)) in trt.calls
    speeds_of_dlas(device, jetson)


def speeds_of_dlas(device: DeviceDouble, jetson: BuildingDevice) -> None:
    """Each, both, and beside the GPU, kept as the others are; a batch is the one that the engines take."""
    here: Any = throughput
    here.read_facts = lambda: jetson.facts
    jetson.settings = replace(jetson.settings, batch=4)
    jetson.build("--batch", "4")
    everywhere = ("DLA 0", "DLA 1", "DLA 0 + DLA 1", "GPU + DLA 0 + DLA 1")
    options = ["--batches", "1", "--streams", "1", "--seconds", "0.02", "--keep-clocks"]
    for chosen, where_it_runs, measured in (("fp16", "GPU", 6), ("fp16", "GPU", 0), ("dla", "DLA 0", 6)):
        choice = jetson.read("chosen.json")
        (jetson.engines / "chosen.json").write_text(json.dumps({**choice, "precision": chosen}))
        said = io.StringIO()
        device.trt.calls.clear()
        with redirect_stdout(said):
            assert throughput.main(jetson.folder, options) == 0
        assert said.getvalue().count("images a second\n") == measured + 1  # and the knee
        assert len(re.findall(rf"^{where_it_runs}  +1  +1 ", said.getvalue(), re.M)) == 2
        for where in everywhere:
            assert re.search(rf"^{re.escape(where)}  +4 ", said.getvalue(), re.M), where
        assert (("Runtime", "DLA_core", (1,)) in device.trt.calls) == bool(measured)


def change(folder: Path, file: Path, content: bytes) -> None:
    """Write a file of a bundle, whose manifest knows it."""
    manifest = (folder / NAME).read_text()
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(content)
    (folder / NAME).write_text(manifest.replace(before, hashlib.sha256(content).hexdigest()))


def a_plan_for_another_program_is_built(device: DeviceDouble, folder: Path) -> None:
    """What Triton and DeepStream open: one engine, of the graph that this version takes."""
    strong = not device.trt.__version__.startswith("8")
    here: Any = build_plan
    here.read_facts = lambda: replace(JETSON, tensorrt=device.trt.__version__)
    for name in (build_plan.FLAGS, build_plan.TYPED):
        (folder / name).write_text(name)
    plan = folder / "models" / "1" / "model.plan"
    wishes = ["--folder", str(folder), "--plan", str(plan), "--largest-batch", "8"]
    said = io.StringIO()
    with redirect_stdout(said):
        assert build_plan.main(wishes) == 0
    graph = folder / (build_plan.TYPED if strong else build_plan.FLAGS)
    built_from = hashlib.sha256(graph.read_bytes()).hexdigest().encode()
    assert plan.read_bytes() == b"plan of " + built_from + b" for 1,1,8"
    assert f"for TensorRT {device.trt.__version__} on this device alone" in said.getvalue()
    (profile,) = [call[2] for call in device.trt.calls if call[1] == "set_shape"]
    assert [shape[0] for shape in profile[1:]] == [1, 1, 8]
    graph.unlink()
    assert build_plan.main(wishes) == 1


CANDIDATES = (
    slow_layers_go_to_float,
    throughput_by_batch_and_streams,
    a_plan_for_another_program_is_built,
    a_dla_is_tried_where_there_is_one,
)
