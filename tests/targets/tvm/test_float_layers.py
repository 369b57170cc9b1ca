"""Residual networks some layers of which mixed precision leaves in float."""

from pathlib import Path

import numpy as np
import pytest

from calibration.collect import collect
from calibration.find_parameters import find_parameters
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.qdq import save_quantized
from calibration.recipe import QuantRecipe, Scheme
from targets.runtime.native_runner import open_engine
from targets.tvm import oracle
from targets.tvm.cpu_target import host_isa
from targets.tvm.engine_file import write_engine
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import Island
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import TinyResNet, export
from tests.targets.needs import or_skip
from tests.targets.tvm.meaning import in_floats

SIZE = (16, 16, 3)
CHOICES = {"stem": slice(0, 1), "middle": slice(3, 4), "two": slice(2, 4), "classifier": slice(-1, None)}
CHOICES["all but the stem"] = slice(1, None)


def left_in_float(choice: slice, scheme: Scheme, folder: Path) -> Path:
    recipe = QuantRecipe(scheme)
    source = export(TinyResNet(), folder / "float.onnx", SIZE).path
    graph = OnnxGraph.load(source)
    layers = [node.name for node in graph.nodes if node.op_type in ("Conv", "Gemm")]
    placement = place(graph, recipe, layers[choice])
    ranges = collect(source, [pictures(32, SIZE, seed=1)], recipe)
    parameters = find_parameters(graph, placement, ranges, recipe, [])
    save_quantized(graph, placement, parameters, recipe, folder / "int8.onnx")
    return folder / "int8.onnx"


@pytest.mark.parametrize("scheme", list(Scheme))
@pytest.mark.parametrize("choice", CHOICES.values(), ids=list(CHOICES))
def test_they_run_here_as_the_oracle_says_and_as_onnxruntime_means(
    choice: slice, scheme: Scheme, tmp_path: Path
) -> None:
    model, images = left_in_float(choice, scheme, tmp_path), pictures(16, SIZE)
    graph = import_graph(model)
    assert any(isinstance(op, Island) for op in graph.operators)
    expected, reference = oracle.run(graph, images), in_floats(model, images)
    assert np.square(expected - reference).sum() <= 1e-3 * np.square(reference).sum()
    isa = or_skip(host_isa)
    write_engine(graph, isa, tmp_path / "engine")
    with open_engine(tmp_path / "engine") as runner:
        assert np.array_equal(runner.infer(images).view(np.int32), expected.view(np.int32))
