"""A build for a Jetson as a side: its INT8 engine on the module over SSH, and the tensors inside."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipeline.difference.decibels import ratio_db
from pipeline.difference.observed import tensor_values
from pipeline.difference.real_graph import read_real_graph
from pipeline.difference.side import Pictures, Side, bounded_graph
from pipeline.errors import UsageError
from targets.devices import Jetson, jetsons
from targets.tensorrt.device import JetsonOnDevice
from targets.tensorrt.jetson_target import JetsonTarget

SAME_ENGINE_DB = 20.0
"""The least that an engine agrees with its Q/DQ graph: TensorRT rounds elsewhere, and floats are FP16."""
INSPECTED = 2
FUSION = (
    "Marking a tensor changes what TensorRT fuses, so this is another engine than the one that ships: a"
    " difference here shows where to look, and agreement does not clear the kernels that ship"
)


def is_jetson_build(folder: Path) -> bool:
    """Whether a folder has what a Jetson builds its engines from."""
    return (folder / JetsonTarget.engine_name).is_file() and (folder / "model.int8.onnx").is_file()


@contextmanager
def jetson_side(folder: Path, device: str) -> Iterator[Side]:
    """Open the engine of a build on its module. Raises UsageError, TargetUnavailable, or a DeviceError."""
    from pipeline.known_devices import find_device
    from targets.reach.ssh import SshDevice

    target = JetsonOnDevice(module_of(folder), SshDevice(find_device(device)))
    target.check()
    graph, engine = bounded_graph(folder / "model.int8.onnx"), folder / target.engine_name
    dims = graph.graph.input[0].type.tensor_type.shape.dim
    with target.open(engine) as runner:
        yield Side(
            name=str(folder),
            logits=runner.infer,
            graph=graph,
            size=(dims[1].dim_value, dims[2].dim_value, dims[3].dim_value),
            notes=(f"{folder} runs on {device}: {target.device()}",),
            ran_on=f"{device}: {target.device()}",
            inspected=lambda pictures: inspect_marked(target, engine, folder, pictures[:INSPECTED]),
            own_db=SAME_ENGINE_DB,
        )


def module_of(folder: Path) -> Jetson:
    """Return the module that a build is for. Raises UsageError where that is not a Jetson."""
    from pipeline.report.model.build_report import Report

    report = folder / "report.json"
    if not report.is_file():
        raise UsageError(f"{folder} has no report.json, which says for which module it is. Build it again.")
    name = Report.load(report).subject.target
    if name not in jetsons():
        raise UsageError(f"{folder} was built for {name}, which is not a Jetson. Give a build for one.")
    return jetsons()[name]


def inspect_marked(target: JetsonOnDevice, engine: Path, folder: Path, pictures: Pictures) -> str:
    """Compare the tensors inside a Jetson's engine with its Q/DQ graph, and say where they part."""
    graph = read_real_graph(bounded_graph(folder / "model.int8.onnx"))
    meant = tensor_values(graph, pictures)
    names = [
        node.output
        for node in graph.nodes
        if node.output != graph.output and np.issubdtype(meant[node.output].dtype, np.floating)
    ]
    found = target.tensors(engine, pictures, names)
    agreements = {
        name: ratio_db(meant[name], values)
        for name, values in found.values.items()
        if values.shape == meant[name].shape
    }
    with target.open(engine) as runner:
        shipped = runner.infer(pictures)
    same = ratio_db(shipped, found.logits.reshape(shipped.shape))
    of = f"{len(agreements)} of {len(names)} tensors of an engine with marked outputs"
    own = f"its logits agree with those of the engine that ships to {same:.0f} dB"
    if not agreements:
        return f"no tensor of the graph is in TensorRT's network under its name; {own}. {FUSION}"
    first = next((name for name, db in agreements.items() if db < SAME_ENGINE_DB), None)
    least = min(agreements, key=lambda name: agreements[name])
    said = f"agree with the graph to {agreements[least]:.0f} dB and more ({least!r})"
    if first is not None:
        said += f"; the first below {SAME_ENGINE_DB:.0f} dB is {first!r}, with {agreements[first]:.0f} dB"
    return f"{of} {said}; {own}. {FUSION}"
