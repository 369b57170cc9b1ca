"""The report says what `wide` gave 16 bits."""

import re
from math import inf
from pathlib import Path

import pytest

from calibration.corrections.wide import WideActivations
from calibration.produce import produce
from calibration.recipe import QuantRecipe
from pipeline.report.wide_words import NAMED, sixteen_bits
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import TinyResNet, Varied, export


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(Varied(), tmp_path_factory.mktemp("varied") / "varied.onnx").path


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(TinyResNet(), tmp_path_factory.mktemp("residual") / "residual.onnx").path


@pytest.mark.parametrize(
    ("recipe", "what"),
    [
        ("w8a8_sym_wide", r"wide: \d+ layers in FP16 under TensorRT, since rounding what they read"),
        ("w8a8_asym_wide", r"wide: \d+ activations in integers of 16 bits, since rounding them"),
    ],
)
def test_what_has_16_bits_is_named_with_the_reason(
    recipe: str, what: str, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WideActivations, "agreement", inf)
    made = produce(network, lambda: [pictures(8, (16, 16, 3))], QuantRecipe.parse(recipe), tmp_path)
    check, outlook = sixteen_bits(made.quantized)
    assert (check.name, check.outcome) == (outlook.name, outlook.outcome) == ("recipe", "noted")
    assert outlook.message == f"wide: {made.ranges.outlook}"
    told, names = check.message.split(" would change the logits most: ")
    assert re.fullmatch(what + " to 8", told)
    assert len(names.split(", ")) <= NAMED
    if recipe.startswith("w8a8_asym"):
        assert made.ranges.wide[0] in names


@pytest.mark.parametrize("recipe", ["w8a8_sym", "w8a8_asym_widest"])
def test_without_the_word_nothing_is_said(recipe: str, network: Path, tmp_path: Path) -> None:
    made = produce(network, lambda: [pictures(8, (16, 16, 3))], QuantRecipe.parse(recipe), tmp_path)
    assert list(sixteen_bits(made.quantized)) == []


@pytest.mark.parametrize(
    ("recipe", "what"),
    [
        ("w8a8_asym_res", "res: 1 residual connection in integers of 16 bits"),
        ("w8a8_sym_res", "res: 1 residual connection in FP16 under TensorRT"),
    ],
)
def test_residual_connections_are_counted(recipe: str, what: str, residual: Path, tmp_path: Path) -> None:
    made = produce(residual, lambda: [pictures(8, (16, 16, 3))], QuantRecipe.parse(recipe), tmp_path)
    (check,) = sixteen_bits(made.quantized)
    assert (check.outcome, check.message) == ("noted", what)


def test_what_wide_chose_is_told_apart_from_residual_connections(
    residual: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WideActivations, "agreement", inf)
    recipe = QuantRecipe.parse("w8a8_asym_res_wide")
    made = produce(residual, lambda: [pictures(8, (16, 16, 3))], recipe, tmp_path)
    _, chosen, _ = sixteen_bits(made.quantized)
    assert chosen.message.startswith(f"wide: {len(made.ranges.wide)} activation")
