"""What `edgec diff` advises where rounding changes classes or errors add up, and that following it helps."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calibration.explore.mixed_precision import Goal, quantize_within
from calibration.explore.sensitivity import noise_alone
from calibration.produce import produce
from calibration.recipe import QuantRecipe
from pipeline.difference.judged import difference_of
from pipeline.difference.side import Array, Pictures, Side, graph_logits, graph_side
from pipeline.report.model.difference_report import DifferenceReport, Sameness
from tests.pipeline.difference.deep_network import CLASSES, PICTURES, deep, quantised, with_constants

Quantise = Callable[..., onnx.ModelProto]


@pytest.fixture
def by(tmp_path: Path) -> Quantise:
    """Quantises a network by a recipe, on some pictures."""

    def made(
        model: onnx.ModelProto, recipe: str = "w8a8_asym", images: Pictures = PICTURES
    ) -> onnx.ModelProto:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        onnx.save(model, folder / "model.onnx")
        parsed = QuantRecipe.parse(recipe)
        return onnx.load(produce(folder / "model.onnx", lambda: iter([images]), parsed, folder).quantized)

    return made


def compared(a: onnx.ModelProto, b: onnx.ModelProto) -> DifferenceReport:
    return difference_of(graph_side(a, "a"), graph_side(b, "b"), PICTURES)


def recorded(model: onnx.ModelProto) -> Side:
    """Another program's logits of the pictures."""
    return Side("b.npy", lambda shown: graph_logits(model, shown), None, None)


def on_the_grid(weights: Array) -> Array:
    """Return weights that 8 bits hold as they are, so that activations alone are rounded."""
    step = abs(weights).max(axis=(1, 2, 3), keepdims=True) / 127
    return np.asarray(np.round(weights / step) * step)


def test_activations_of_16_bits_help_where_those_of_8_change_classes(by: Quantise) -> None:
    model = with_constants(deep(20), lambda _, value: value.ndim == 4, on_the_grid)
    found = compared(model, by(model))
    assert found.verdict is Sameness.OTHER_CLASSES
    assert found.changed_classes is not None
    words = 'Set recipe = "w8a8_asym_mse_widest_bc" under [calibration]: activations in 16 bits.'
    assert found.changed_classes.remedy.startswith(words)
    again = compared(model, by(model, words.split('"')[1]))
    assert (again.verdict, again.changed_classes) == (Sameness.ROUNDING, None)


def interval(reference: Array, found: Array) -> tuple[float, float]:
    drop = float(reference.mean() - found.mean())
    return drop, drop


def within(model: onnx.ModelProto, max_drop: float, folder: Path) -> onnx.ModelProto:
    """Quantise as a build with max_drop does; the classes of the network itself are taken to be right."""
    onnx.save(model, folder / "model.onnx")
    recipe = QuantRecipe.parse("w8a8_asym")
    made = produce(folder / "model.onnx", lambda: iter([PICTURES]), recipe, folder)
    noise = noise_alone(made, recipe, lambda: iter([PICTURES]), reads_wide=True)
    labels = graph_logits(model, PICTURES).argmax(1)
    goal = Goal(lambda: iter([PICTURES]), labels, interval, max_drop)
    assert quantize_within(made, recipe, goal, noise, folder / "mixed.onnx").passes
    return onnx.load(folder / "mixed.onnx")


def test_layers_in_float_help_where_rounded_weights_change_classes(tmp_path: Path) -> None:
    model = deep(30)
    found = compared(model, quantised(model, tmp_path))
    assert found.changed_classes is not None
    assert found.changed_classes.remedy.startswith(
        "Set max_drop under [calibration], which leaves the layers that cost most in float, or fine-tune with"
    )
    again = compared(model, within(model, 0.02, tmp_path))
    assert (again.verdict, again.changed_classes) == (Sameness.ROUNDING, None)


def of_pairs_of_classes(layers: int) -> onnx.ModelProto:
    """Return a network whose classes are alike in pairs: rounding of the last layer's weights swaps them."""
    spread = 0.02 * np.random.default_rng(3).normal(0, 1, (CLASSES // 2, 12)).astype(np.float32)

    def alike(head: Array) -> Array:
        return np.concatenate([head[: CLASSES // 2], head[: CLASSES // 2] + spread])

    return with_constants(deep(layers), lambda name, _: name == "head", alike)


def test_both_networks_show_which_bits_are_missing(by: Quantise) -> None:
    model = of_pairs_of_classes(6)
    rounded = by(model)
    found = difference_of(graph_side(model, "a"), recorded(rounded), PICTURES)
    assert found.changed_classes is not None
    words = "Give both networks instead of their outputs, so that it is tried which bits B lacks."
    assert found.changed_classes.remedy == words
    again = compared(model, rounded)
    assert again.changed_classes is not None
    assert "Tried in a copy of B on 16 pictures" in again.changed_classes.remedy


def test_both_networks_are_told_apart_where_outputs_are_not(by: Quantise) -> None:
    model = deep(24)
    rounded = by(model)
    found = difference_of(graph_side(rounded, "b"), recorded(model), PICTURES[:16])
    assert found.verdict is Sameness.NOT_COMPARABLE
    assert ". Give both networks to compare their tensors." in found.summary
    assert found.tensors == ()
    again = compared(model, rounded)
    assert again.verdict is Sameness.ROUNDING
    assert again.tensors


def test_calibrating_on_images_with_all_of_the_contrast_helps(by: Quantise) -> None:
    model, faint = deep(12), (128 + 0.8 * (PICTURES.astype(float) - 128)).astype(np.uint8)
    found = compared(model, by(model, images=faint))
    assert found.verdict is Sameness.DIFFERENT
    assert {one.remedy for one in found.faults} == {
        "Calibrate on images like those of use: the ranges are too narrow."
    }
    again = compared(model, by(model))
    assert again.faults == ()
    assert again.verdict is not Sameness.DIFFERENT


def moved(value: Array) -> Array:
    """Return weights that are all off by one step, as no rounding leaves them."""
    return np.asarray(np.clip(value + np.random.default_rng(3).choice([-1, 1], value.shape), -127, 127))


def test_the_tensors_that_matter_lead_to_the_fault(by: Quantise) -> None:
    """With A's values there the logits come closer: the fault of the tool that wrote B is in front of it."""
    model = deep(12)
    sound = by(model)
    weights = {one.name for one in sound.graph.initializer if numpy_helper.to_array(one).dtype == np.int8}
    wrong = with_constants(sound, lambda name, value: name in weights and value.ndim > 1, moved)
    found = compared(model, wrong)
    assert found.verdict is Sameness.DIFFERENT
    assert found.summary.endswith("differs in many places. See which tensors matter.")
    assert found.logits is not None
    assert max(one.logits_db for one in found.restored) > found.logits.agreement_db + 1
    assert compared(model, sound).verdict is not Sameness.DIFFERENT
