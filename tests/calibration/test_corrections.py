"""The rest of the package needs only what a correction declares."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calibration.correction import BiasCorrection, Correction, ImageBatches, Need, OnBatch, Preparation
from calibration.corrections import CORRECTIONS
from calibration.errors import RecipeError
from calibration.grid import QuantizedWeight
from calibration.moments import InputMoments
from calibration.onnx_graph import OnnxGraph
from calibration.produce import produce
from calibration.recipe import QuantRecipe
from calibration.scheme import RecipeBase, Scheme
from calibration.weight_layers import LayerWeights
from tests.calibration.conftest import pictures

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


class Marked(Preparation):
    word = "mark"
    summary = "write a word into the model's description"
    needs = frozenset({Need.IMAGES})
    pointless: ClassVar = {Scheme.ASYM: "needs no mark"}

    def rewrite(
        self, graph: OnnxGraph, images: ImageBatches, recipe: RecipeBase, on_batch: OnBatch
    ) -> onnx.ModelProto:
        for batch in images:
            on_batch(len(batch))
        graph.model.doc_string = f"marked for {recipe.scheme}"
        return graph.model


class Raised(BiasCorrection):
    word = "up"
    summary = "add one to every bias"
    conflicts: ClassVar = {"bc": "both choose the bias"}

    def bias(
        self, layer: LayerWeights, weight: QuantizedWeight, moments: InputMoments
    ) -> NDArray[np.float32]:
        assert len(moments.quantized_mean) == weight.values[0].size
        return layer.bias + np.float32(1)


@pytest.fixture
def more() -> "Iterator[list[Correction]]":
    for one in (Marked(), Raised()):
        CORRECTIONS.append(one)
    yield CORRECTIONS
    del CORRECTIONS[-2:]


@pytest.mark.usefixtures("more")
def test_a_correction_runs_where_its_declaration_says(rgb_model: Path, tmp_path: Path) -> None:
    plain, changed = (tmp_path / name for name in ("plain", "changed"))
    seen: list[int] = []
    for folder, name in ((plain, "w8a8_sym"), (changed, "w8a8_sym_mark_up")):
        folder.mkdir()
        produce(rgb_model, lambda: [pictures(4, (16, 16, 3))], QuantRecipe.parse(name), folder, seen.append)
    assert seen == [4] * 4  # ranges alone; then the model's rewriting, ranges, moments
    before, after = (OnnxGraph.load(folder / "model.int8.onnx") for folder in (plain, changed))
    assert after.model.doc_string == "marked for w8a8_sym"
    biases = [[g.constant(n.input[2]) for n in g.nodes if n.op_type == "Conv"] for g in (before, after)]
    for one, other in zip(*biases, strict=True):
        assert one is not None
        assert other is not None
        np.testing.assert_allclose(other - one, 1, atol=2e-3)


@pytest.mark.usefixtures("more")
def test_what_it_declares_decides_what_it_is_combined_with() -> None:
    assert QuantRecipe.parse("w8a8_sym_up_mark").name == "w8a8_sym_mark_up"
    with pytest.raises(RecipeError, match=r"w8a8_asym needs no mark\. Leave 'mark' out"):
        QuantRecipe.parse("w8a8_asym_mark")
    with pytest.raises(RecipeError, match="'bc' and 'up' cannot be combined: both choose the bias"):
        QuantRecipe.parse("w8a8_asym_bc_up")
    with pytest.raises(RecipeError, match=r"Allowed after the scheme: .*ada, mark, up"):
        QuantRecipe.parse("w8a8_asym_wrong")


def test_adding_a_correction_takes_its_file_and_a_line(tmp_path: Path) -> None:
    """In a copy of the package, in a Python of its own."""
    package = tmp_path / "calibration"
    shutil.copytree(ROOT / "calibration", package, ignore=shutil.ignore_patterns("__pycache__"))
    text = (package / "corrections" / "bc.py").read_text()
    new = text.replace('word = "bc"', 'word = "cb"').replace("MeanBiasCorrection", "Copied")
    (package / "corrections" / "cb.py").write_text(new)
    registry = package / "corrections" / "__init__.py"
    lines = registry.read_text().replace(
        "    LearnedRounding(),\n", "    LearnedRounding(),\n    Copied(),\n"
    )
    registry.write_text(lines.replace('"""\n\n', '"""\n\nfrom calibration.corrections.cb import Copied\n', 1))
    code = (
        "from calibration.recipe import QuantRecipe; r = QuantRecipe.parse('w8a8_asym_cb');"
        "print(r.name, r.needs_images, r.needs_moments, r.needs_covariance)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["w8a8_asym_cb", "True", "True", "False"]


@pytest.mark.parametrize("one", CORRECTIONS, ids=lambda one: one.word)
def test_each_has_a_file_called_by_its_word_and_a_row_in_the_docs(one: Correction) -> None:
    assert type(one).__module__ == f"calibration.corrections.{one.word}"
    assert f"\n| `{one.word}` | " in (ROOT / "docs" / "calibration.md").read_text()
