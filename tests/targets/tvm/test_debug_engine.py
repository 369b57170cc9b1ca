"""The engine that yields every tensor: its numbers are those of the integer graph's definition."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from targets.reach import emulator
from targets.reach.emulator import EmulatedRunner
from targets.runtime.native_runner import open_engine
from targets.tvm import oracle
from targets.tvm.cpu_target import host_isa
from targets.tvm.debug_engine import DebugEngine, write_debug_engine
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import IntegerGraph
from targets.tvm.isa import ISAS
from tests.pipeline.difference.small_pair import pictures, small_pair

PICTURES = pictures(3)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> IntegerGraph:
    folder = tmp_path_factory.mktemp("debug")
    onnx.save(small_pair(folder, ("w8a8_asym",)).quantised["w8a8_asym"], folder / "model.int8.onnx")
    return import_graph(folder / "model.int8.onnx")


@pytest.fixture(scope="module")
def host(graph: IntegerGraph, tmp_path_factory: pytest.TempPathFactory) -> tuple[DebugEngine, Path]:
    engine = tmp_path_factory.mktemp("host") / "debug.engine"
    return write_debug_engine(graph, host_isa(), engine), engine


def test_every_tensor_of_this_machines_engine_has_the_bits_that_are_defined(
    graph: IntegerGraph, host: tuple[DebugEngine, Path]
) -> None:
    debug, engine = host
    with open_engine(engine) as runner:
        output = runner.infer(PICTURES)
    differing = debug.differing(output, PICTURES)
    inside = {op.output.name for op in graph.operators if hasattr(op, "output")} - {graph.image.name}
    assert set(differing) == inside - {graph.logits.name}
    assert not any(differing.values())


def test_one_changed_number_is_seen_at_its_tensor(host: tuple[DebugEngine, Path]) -> None:
    debug, engine = host
    with open_engine(engine) as runner:
        output = runner.infer(PICTURES).copy()
    kept = debug.kept[2]
    assert kept.layout is not None
    output.view(np.uint8).reshape(len(output), -1)[1, kept.start + kept.layout.origin] ^= 1
    wrong = {name: count for name, count in debug.differing(output, PICTURES).items() if count}
    assert wrong == {kept.tensor.name: 1}


@pytest.mark.skipif(not emulator.is_installed(), reason="apt install qemu-user")
def test_every_tensor_of_an_arm_engine_has_them_too(graph: IntegerGraph, tmp_path: Path) -> None:
    debug = write_debug_engine(graph, ISAS["dotprod"], tmp_path / "debug.engine")
    output = EmulatedRunner(tmp_path / "debug.engine", "cortex-a76").infer(PICTURES[:1])
    assert not any(debug.differing(output, PICTURES[:1]).values())


def test_the_oracles_logits_are_one_of_its_tensors(graph: IntegerGraph) -> None:
    every = oracle.all_values(graph, PICTURES)
    assert np.array_equal(every[graph.logits.name].reshape(3, -1), oracle.run(graph, PICTURES))
