"""A build that another one keeps disturbing ends with advice, and the advice helps."""

from pathlib import Path

import pytest

from pipeline.build import publish
from pipeline.build.publish import place, place_together
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.build.two_builds import two_builds


def test_builds_that_disturb_each_other_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "PAUSE_SECONDS", 0)
    one, two = two_builds(tmp_path)
    running = [two[tmp_path / "report.json"]]

    def other_build() -> None:
        for output in running:
            place(*output, tmp_path / "report.json")

    check_advice(
        "Give each build its own folder (--out), or run them one after the other.",
        lambda: place_together(one, other_build),
        running.clear,
    )
    assert (tmp_path / "report.json").read_text() == "onereport.json"
