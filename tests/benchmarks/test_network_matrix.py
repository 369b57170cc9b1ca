"""The matrix reads the files of exporters, builds them, and has a line for each."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.matrix.architectures import ARCHITECTURES
from benchmarks.matrix.keras_graphs import GRAPHS
from benchmarks.network_matrix import Form, MatrixRow, row, table


def test_it_has_forty_architectures_and_more() -> None:
    assert len(ARCHITECTURES) >= 40


QUICK = ["alexnet", "coordconv", "spp", "res2net", "eca", "convnext", "keras-resnet", "keras-unet"]


@pytest.mark.parametrize("name", QUICK)
def test_a_network_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    """If before a Squeeze, planes beside the image, computed places of Slices, Conv1d, NHWC to the end."""
    opsets = {"TorchScript": (17,), "torch.export": (), "by hand": (17,)}
    found = row(name, "reference", tmp_path, 0, opsets)
    (form,) = found.forms
    assert form.problem is None
    assert form.difference is not None
    assert form.difference < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["res2net", "eca", "keras-mobilenet", "shufflenet-v2"])
def test_a_network_is_built_for_the_host(name: str, tmp_path: Path) -> None:
    opsets = {"TorchScript": (11,), "torch.export": (), "by hand": (13,)}
    found = row(name, "host", tmp_path, 64, opsets)
    if found.problem is not None and "processor" in found.problem:
        pytest.skip(found.problem)
    assert found.problem is None
    assert found.agreement is not None
    assert found.agreement > 0.9
    assert found.sqnr_db is not None
    assert found.sqnr_db > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in (*ARCHITECTURES, *GRAPHS) if name not in QUICK])
def test_every_network_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    test_a_network_is_read_as_it_was_written(name, tmp_path)


def test_the_table_has_a_line_a_network(tmp_path: Path) -> None:
    forms = (
        Form("TorchScript", 9, difference=1e-6),
        Form("TorchScript", 10, difference=2e-6),
        Form("TorchScript", 13, problem="no"),
        Form("torch.export", 18, unwritten="not supported"),
        Form("by hand", 15, difference=3e-7),
    )
    rows = [
        MatrixRow(
            network="a",
            target="host",
            forms=forms,
            agreement=0.5,
            sqnr_db=31.25,
            integer_time=0.75,
            floats=("Mul",),
        ),
        MatrixRow(network="b", target="host", forms=forms[2:3], problem="no | engine"),
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(asdict(one)) + "\n" for one in rows))
    assert table(tmp_path / "rows.jsonl").splitlines()[2:] == [
        "| `a` | TorchScript 9-10, 13 refused; by hand 15 | 2e-06 | 50.0%, 31.2 | 75% | Mul |  |  |",
        "| `b` | TorchScript 13 refused |  | refused: no / engine |  |  |  |  |",
    ]
