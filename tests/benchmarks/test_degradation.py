"""The experiment trains the stated networks, and its report agrees with the figures."""

import json
from pathlib import Path

import pytest

from benchmarks import degradation
from benchmarks.degradation import NETWORKS, Curve, chart, findings, read, report, settings, write
from pipeline.models.architecture import Architecture
from pipeline.models.zoo import find_model

PAPER = {
    "plain20": Curve([9.0, 5.0], [12.0, 9.0]),
    "plain56": Curve([15.0, 10.0], [16.0, 14.0]),
    "resnet20": Curve([8.0, 4.0], [11.0, 8.0]),
    "resnet56": Curve([6.0, 2.0], [9.0, 7.0]),
}


@pytest.mark.parametrize("schedule", ["small", "paper"])
def test_all_four_networks_differ_in_depth_and_shortcuts_only(schedule: str) -> None:
    chosen = {name: settings(name, schedule, Path("x")) for name in NETWORKS}
    architectures = {name: find_model(one.model).architecture for name, one in chosen.items()}
    assert architectures == {
        "plain20": Architecture("cifar", 20, "none"),
        "plain56": Architecture("cifar", 56, "none"),
        "resnet20": Architecture("cifar", 20),
        "resnet56": Architecture("cifar", 56),
    }
    others = {one.model_copy(update={"model": "", "silent_branches": False}) for one in chosen.values()}
    assert len(others) == 1


def test_the_papers_schedule_has_its_number_of_steps() -> None:
    found = settings("resnet56", "paper", Path("x"))
    assert found.epochs * (50_000 // found.batch_size) == pytest.approx(64_000, rel=0.002)
    assert found.drops == (0.5, 0.75)
    assert not found.silent_branches


def test_the_papers_result_counts_as_reproduced() -> None:
    assert [line.count("**reproduced**") for line in findings(PAPER)] == [1, 1, 1, 1]


def test_a_residual_network_that_gets_worse_with_depth_is_said_to(tmp_path: Path) -> None:
    lagging = PAPER | {"resnet56": Curve([9.0], [12.0])}
    assert [("NOT" in line) for line in findings(lagging)] == [False, False, True, True]
    assert "9.0 % and 6.0 %" in findings(lagging)[2]
    write(lagging, "small", 90.0, tmp_path)
    assert "NOT reproduced" in (tmp_path / "report.md").read_text()
    assert json.loads((tmp_path / "result.json").read_text())["error_percent"]["plain20"]["test"] == [
        12.0,
        9.0,
    ]
    assert "refresh" not in (tmp_path / "degradation.html").read_text()


def test_curves_are_read_while_networks_train(tmp_path: Path) -> None:
    assert read(tmp_path) == {}
    (tmp_path / "plain20").mkdir()
    record = {"accuracy": 0.25, "watched": {"accuracy": 0.5}}
    (tmp_path / "plain20" / "history.jsonl").write_text(json.dumps(record) + "\n")
    assert read(tmp_path) == {"plain20": Curve([75.0], [50.0])}
    assert set(chart(PAPER).dashed) == {f"{name} test" for name in NETWORKS}
    assert "mean" in report(PAPER, "small", 60.0)


def test_networks_are_trained_and_a_failure_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="plain56 failed with exit code 1"):
        degradation.run("small", tmp_path / "no data", tmp_path / "run", jobs=1)
