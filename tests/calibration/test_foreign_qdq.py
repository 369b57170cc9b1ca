from pathlib import Path

import numpy as np
import onnx
import pytest

from calibration.errors import LintError, ModelError
from calibration.foreign_qdq import check_brought
from calibration.onnx_graph import tensor_proto
from calibration.produce import produce
from calibration.recipe import QuantRecipe, Scheme
from tests.calibration.conftest import pictures

SHAPE = (16, 16, 3)


@pytest.fixture
def quantized(rgb_model: Path, tmp_path: Path) -> Path:
    return produce(
        rgb_model, lambda: [pictures(8, SHAPE)], QuantRecipe.parse("w8a8_sym_mse"), tmp_path
    ).quantized


def test_a_graph_of_ours_says_its_recipe(quantized: Path) -> None:
    assert check_brought(quantized, Scheme.ASYM, SHAPE, 10).name == "w8a8_sym_mse"


def test_a_graph_that_says_nothing_is_judged_by_the_targets_scheme(quantized: Path, tmp_path: Path) -> None:
    model = onnx.load(quantized)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "anonymous.onnx")
    assert check_brought(tmp_path / "anonymous.onnx", Scheme.SYM, SHAPE, 10).name == "w8a8_sym"
    with pytest.raises(LintError, match="Activations under w8a8_asym are uint8"):
        check_brought(tmp_path / "anonymous.onnx", Scheme.ASYM, SHAPE, 10)


def test_a_float_model_other_images_and_other_classes_are_refused(quantized: Path, rgb_model: Path) -> None:
    with pytest.raises(ModelError, match="no layer with int8 weights"):
        check_brought(rgb_model, Scheme.SYM, SHAPE, 10)
    with pytest.raises(ModelError, match="takes images 16x16x3; the model's are 32x32x3"):
        check_brought(quantized, Scheme.SYM, (32, 32, 3), 10)
    with pytest.raises(ModelError, match="has 10 classes; the data set has 7"):
        check_brought(quantized, Scheme.SYM, SHAPE, 7)


def test_a_broken_rule_is_named(quantized: Path, tmp_path: Path) -> None:
    model = onnx.load(quantized)
    name = next(node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear")
    zero = next(i for i in model.graph.initializer if i.name == name)
    zero.CopyFrom(tensor_proto(name, np.array(3, np.int8)))
    onnx.save(model, tmp_path / "shifted.onnx")
    with pytest.raises(LintError, match="its zero point is 3, not 0"):
        check_brought(tmp_path / "shifted.onnx", Scheme.SYM, SHAPE, 10)
