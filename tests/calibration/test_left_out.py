"""Every word of a recipe on every network. A correction that cannot be done is left out and noted."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from calibration.corrections import CORRECTIONS
from calibration.left_out import left_out, note_left_out
from calibration.metrics import closeness
from calibration.moments import COVARIANCE_BYTES
from calibration.produce import produce
from calibration.recipe import QuantRecipe
from calibration.scheme import Scheme
from tests.calibration.conftest import pictures
from tests.exact_session import run_exactly

SHAPE = (16, 16, 3)


@pytest.mark.parametrize("word", [one.word for one in CORRECTIONS])
@pytest.mark.parametrize("scheme", list(Scheme))
def test_every_correction_runs_on_every_operator(
    word: str, scheme: Scheme, varied_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if any(one.word == word and scheme in one.pointless for one in CORRECTIONS):
        return
    monkeypatch.setattr("calibration.learned.LEARN_EPOCHS", 1)
    images, fresh = pictures(32, SHAPE), pictures(16, SHAPE, seed=1)
    made = produce(varied_model, lambda: [images], QuantRecipe.parse(f"{scheme}_{word}"), tmp_path)
    notes = left_out(onnx.load(made.quantized))
    assert [note for note in notes if not note.startswith("ctr: the first convolution")] == []
    assert bool(notes) == (word == "ctr")  # there is a HardSwish behind it
    found = closeness(run_exactly(varied_model, fresh), run_exactly(made.quantized, fresh))
    assert found.sqnr_db > 20


def _with_unknown_operator(model: Path, path: Path) -> Path:
    """Logits through an operator that torch has no kernel for: sorted by TopK, all of them."""
    changed = onnx.load(model)
    last = next(node for node in changed.graph.node if "logits" in node.output)
    last.output[0] = "unsorted"
    changed.graph.initializer.append(onnx.numpy_helper.from_array(np.array([10]), "all"))
    changed.graph.node.append(helper.make_node("TopK", ["unsorted", "all"], ["logits", "order"], "sorted"))
    onnx.save(changed, path)
    return path


@pytest.mark.parametrize("word", ["eq", "sens", "ada"])
def test_an_operator_without_a_gradient_takes_the_correction_out_and_not_the_build(
    word: str, rgb_model: Path, tmp_path: Path
) -> None:
    model = _with_unknown_operator(rgb_model, tmp_path / "topk.onnx")
    made = produce(model, lambda: [pictures(8, SHAPE)], QuantRecipe.parse(f"w8a8_asym_{word}_bc"), tmp_path)
    (note,) = left_out(onnx.load(made.quantized))
    assert note == f"{word}: sorted is a TopK, which has no gradient here"


def test_a_covariance_that_is_too_large_is_left_out_for_its_layer_alone(
    rgb_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert COVARIANCE_BYTES == 1 << 29
    largest = 4 * (16 * 9) ** 2  # of the last block's second convolution; all others have less
    monkeypatch.setattr("calibration.moments.COVARIANCE_BYTES", largest - 1)
    recipe = QuantRecipe.parse("w8a8_asym_wmse_obq_bc")
    made = produce(rgb_model, lambda: [pictures(8, SHAPE)], recipe, tmp_path)
    notes = left_out(onnx.load(made.quantized))
    assert [note.split(":")[0] for note in notes] == ["wmse", "obq"]
    assert all("blocks.1/conv2" in note and "would not fit into memory" in note for note in notes)


def test_pixels_that_no_ordinary_convolution_reads_are_quantised(rgb_model: Path, tmp_path: Path) -> None:
    model = onnx.load(rgb_model)
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    model.graph.node.insert(
        list(model.graph.node).index(first), helper.make_node("Relu", [first.input[0]], ["bright"], "bright")
    )
    first.input[0] = "bright"
    onnx.save(model, tmp_path / "relu.onnx")
    recipe = QuantRecipe.parse("w8a8_sym_pix")
    made = produce(tmp_path / "relu.onnx", lambda: [pictures(8, SHAPE)], recipe, tmp_path)
    assert left_out(onnx.load(made.quantized)) == ("pix: no ordinary convolution reads the normalised image",)


def test_a_note_is_written_once(rgb_model: Path) -> None:
    model = onnx.load(rgb_model)
    note_left_out(model, ["eq: a", "eq: a"])
    note_left_out(model, ["eq: a", "ada: b\n c"])
    assert left_out(model) == ("eq: a", "ada: b c")
