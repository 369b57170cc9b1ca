"""Layers are timed on the values of a run: the time of split layers depends on them."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from targets.runtime.native_runner import open_engine
from targets.tvm.cpu_target import host_isa
from targets.tvm.engine_file import write_engine
from targets.tvm.importer import import_graph
from tests.targets.needs import or_skip
from tests.targets.tvm.qdq_model import QdqModel
from tests.targets.tvm.random_graphs import pictures


def places_of(content: bytes) -> Iterator[int]:
    """Addresses in this process that hold `content`."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, *_ = line.split()
        begin, end = (int(address, 16) for address in span.split("-"))
        if rights.startswith("rw"):
            memory = ctypes.string_at(begin, end - begin)
            at = memory.find(content)
            while at >= 0:
                yield begin + at
                at = memory.find(content, at + 1)


def test_when_layers_have_been_timed_the_engine_holds_the_values_of_a_run(tmp_path: Path) -> None:
    m = QdqModel(9, 9, 3)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 32, 3)), 0.5, 0)
    x = m.quantized(m.node("Relu", m.conv(x, 32, 32, kernel=1)), 0.5, 0)  # split, without VNNI
    y = m.quantized(m.conv(x, 32, 32), 1.0, 100)  # minimal filters there
    x = m.quantized(m.node("Relu", m.node("Add", m.conv(y, 32, 32, strides=[1, 1]), x)), 1.0, 0)
    x = m.quantized(m.node("GlobalAveragePool", x), 0.5, 0)
    graph = import_graph(m.save(m.gemm(m.node("Flatten", x), 64, 32), tmp_path / "model.onnx"))
    write_engine(graph, or_skip(host_isa), tmp_path / "engine")
    first, second = pictures(graph, 2)
    with open_engine(tmp_path / "engine") as runner:
        (timed,) = runner.infer(second[None])
        (before,) = runner.infer(first[None])
        places = list(places_of(before.tobytes()))
        assert not np.array_equal(timed, before)
        assert all(layer.microseconds > 0 for layer in runner.layer_times(second))
        assert sum(np.array_equal(read(place), timed) for place in places) > 1  # the engine's, the runner's


def read(place: int) -> NDArray[np.float32]:
    return np.frombuffer(ctypes.string_at(place, 64 * 4), np.float32)
