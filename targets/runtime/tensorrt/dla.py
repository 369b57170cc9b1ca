"""The deep learning accelerators (DLA) of Xavier and Orin: INT8 by ranges, other layers on the GPU.

A DLA takes no Q/DQ, so the network is written without, its ranges beside it: NVIDIA's way too, whose
qdq_translator (cuDLA-samples) makes a calibration table of Q/DQ. TensorRT 11 has neither ranges nor flags.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .engine import write
from .mixed_onnx import QdqFile

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 127
KEEPS_RANGE = ("MaxPool", "GlobalAveragePool", "AveragePool", "Flatten", "Reshape", "Transpose", "Identity")
"""Operators whose output stays within the range of their first input."""
FINISHES = ("Relu", "Clip", "Add")
"""Operators that one kernel computes with what is before them, so the range before is the one behind."""


def cores_of(builder: Any) -> int:
    """Return how many accelerators this device has."""
    return int(builder.num_DLA_cores or 0)


def write_for_dla(int8: Path, onnx: Path) -> None:
    """Write a Q/DQ network without Q/DQ to `onnx`, and its ranges beside it. Raises EngineProblem."""
    network = QdqFile(int8.read_bytes())
    write(ranges_file(onnx), json.dumps(ranges_of(network)).encode())
    write(onnx, network.unquantised())


def ranges_of(network: QdqFile) -> dict[str, float]:
    """Return the largest value of each tensor that a Q/DQ network rounds, or that follows from those."""
    found = {name: LARGEST * scale for name, scale in network.scales().items()}
    for node in network.nodes:
        behind = network.unrounded(node.inputs[0]) if node.inputs else ""
        if node.kind in KEEPS_RANGE and behind in found:
            found.setdefault(node.outputs[0], found[behind])
    for node in reversed(network.nodes):
        if node.kind in FINISHES and node.outputs[0] in found:
            for name in node.inputs:
                found.setdefault(network.unrounded(name), found[node.outputs[0]])
    return found


def use_dla(trt: Any, network: Any, config: Any, onnx: Path) -> list[str]:
    """Let the first accelerator compute what it can; return the names of the layers that the GPU does."""
    ranges = json.loads(ranges_file(onnx).read_text())
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    outputs = [layer.get_output(i) for layer in layers for i in range(layer.num_outputs)]
    for tensor in (*inputs, *outputs):
        if tensor.name in ranges:
            tensor.dynamic_range = (-ranges[tensor.name], ranges[tensor.name])
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = 0
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    return [layer.name for layer in layers if not config.can_run_on_DLA(layer)]


def ranges_file(onnx: Path) -> Path:
    """Return the file with the largest value of each tensor."""
    return onnx.with_suffix(".ranges.json")


def on_gpu_file(onnx: Path) -> Path:
    """Return the file with the names of the layers that the GPU computes."""
    return onnx.with_suffix(".on_gpu.json")


def on_gpu(onnx: Path) -> list[str]:
    """Return the layers that the GPU computed in the last build."""
    names: list[str] = json.loads(on_gpu_file(onnx).read_text())
    return names
