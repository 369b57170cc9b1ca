"""What messages about a matrix advise: it is followed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.matrix import planned_rows as planned_rows_module
from pipeline.matrix.matrix_config import load_matrix
from pipeline.matrix.planned_rows import only, planned_rows
from tests.pipeline.advice.followed import check_advice

ROWS = 'models = ["resnet20-fashion", "resnet20-cifar10"]\ntargets = ["host", "rpi5"]\n'
BUDGETS = ROWS + '[[budgets]]\nname = "small"\nengine_kib = 1.0\n[[budgets]]\nname = "%s"\np50_ms = 1.0\n'


def follow(folder: Path, words: str, first: str, then: str) -> None:
    """The matrix `first` is refused with these words, and `then` has two rows."""
    file = folder / "matrix.toml"

    def write(text: str) -> Callable[[], object]:
        return lambda: file.write_text(text)

    def rows() -> None:
        assert planned_rows(load_matrix(file, None), file)

    write(first)()
    check_advice(words, rows, write(then))


def test_budgets_get_names_of_their_own(tmp_path: Path) -> None:
    follow(tmp_path, "Give each a name of its own", BUDGETS % "small", BUDGETS % "quick")


def test_a_matrix_of_too_many_rows_is_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned_rows_module, "MATRIX_ROWS", 3)
    follow(tmp_path, "divide it into several files", ROWS, ROWS.replace(', "rpi5"', ""))


def test_a_star_stands_for_several_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned_rows_module, "MATRIX_PATTERNS", 1)
    names = '[[include]]\nmodel = ["resnet20-fashion", "resnet20-cifar10"]\n'
    starred = '[[include]]\nmodel = "resnet20-*"\n'
    follow(tmp_path, "Write * or [ab] for several names", ROWS + names, ROWS + starred)


def test_models_of_one_file_name_are_named(tmp_path: Path) -> None:
    first = 'targets = ["host"]\nmodels = ["a/x.onnx", "b/x.onnx"]\n'
    then = 'targets = ["host"]\n[models.one]\nmodel = "a/x.onnx"\n[models.two]\nmodel = "b/x.onnx"\n'
    follow(tmp_path, "Name them: [models.one] and [models.two]", first, then)


def test_models_whose_rows_have_one_name_are_named(tmp_path: Path) -> None:
    first = 'targets = ["host"]\nmodels = ["a b.onnx", "a-b.onnx"]\n'
    then = 'targets = ["host"]\n[models.one]\nmodel = "a b.onnx"\n[models.two]\nmodel = "a-b.onnx"\n'
    follow(tmp_path, "Name the models: [models.one] and [models.two]", first, then)


def test_a_filter_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "matrix.toml"
    file.write_text(ROWS + '[[exclude]]\nmodel = "resnet20-fashion"\ntarget = "rpi5"\n')
    rows = planned_rows(load_matrix(file, None), file)
    filters = ["model=resnet20-fashion", "target=rpi5"]
    check_advice("Leave one out, or list the rows with --list", lambda: only(rows, filters), filters.pop)
