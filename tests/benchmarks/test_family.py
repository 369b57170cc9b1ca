"""The table has a row for every network and target, and says what is wrong in words."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks.family import FamilyRow, known, mean_iou, rows, subjects, table, told
from benchmarks.random_network import pictures
from pipeline.models.zoo import KNOWN_MODELS
from tests.pipeline.models.foreign.networks import CLASSIFIERS, SEGMENTERS


def test_every_network_is_in_the_family() -> None:
    assert set(subjects([])) == {model.name for model in KNOWN_MODELS} | set(CLASSIFIERS) | set(SEGMENTERS)
    assert list(subjects(["resnet8"])) == ["resnet8"]


@pytest.mark.slow
def test_a_network_is_built_for_every_target(tmp_path: Path) -> None:
    found = {row.target: row for row in rows(known("resnet8-16px", 8, tmp_path), tmp_path)}
    assert list(found) == ["reference", "host", "arm", "jetson"]
    for name, row in found.items():
        if row.problem is None:
            assert row.agreement is not None
            assert row.agreement >= 0.75, name
            assert row.int8_share is not None
            assert row.int8_share > 0.99, name
    assert found["reference"].problem is None
    assert found["host"].problem is not None or found["host"].bits == "= the oracle"
    assert found["arm"].problem is not None or found["arm"].bits == "= host, in qemu"


def test_the_table_has_a_line_a_network(tmp_path: Path) -> None:
    made = [
        FamilyRow(network="a", target="reference", agreement=0.5, int8_share=1.0, seconds=1.0),
        FamilyRow(
            network="a",
            target="host",
            agreement=0.5,
            bits="= the oracle",
            int8_share=0.9,
            floats=("Sigmoid",),
            seconds=1.0,
        ),
        FamilyRow(network="b", target="host", problem="no | engine"),
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in made))
    lines = table(tmp_path / "rows.jsonl").splitlines()
    assert lines[2] == (
        "| `a` | 50.0% agree, 100% INT8 | 50.0% agree, = the oracle, 90% INT8, float: Sigmoid"
        " | not run | not run |"
    )
    assert lines[3] == "| `b` | not run | refused: no / engine | not run | not run |"


def test_differences_are_counted() -> None:
    assert told(np.array([1.0, 2.0]), np.array([1.0, 2.0]), "x") == "= x"
    assert told(np.array([1.0, 2.0]), np.array([1.0, 3.0]), "x") == "1 of 2 differ from x"


def test_iou_is_the_mean_over_classes() -> None:
    one_hot = np.eye(3, dtype=np.float32)
    a = one_hot[np.array([[[0, 0, 1, 1]]])].transpose(0, 3, 1, 2)
    b = one_hot[np.array([[[0, 1, 1, 1]]])].transpose(0, 3, 1, 2)
    assert mean_iou(a, b) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert mean_iou(a, a) == 1


def test_pictures_are_the_same_every_time() -> None:
    a, b = (pictures(4, (20, 24, 3), seed=1) for _ in range(2))
    assert a.shape == (4, 20, 24, 3)
    assert np.array_equal(a, b)
    assert len({image.tobytes() for image in a}) == 4
