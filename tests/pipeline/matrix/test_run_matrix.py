"""A matrix from the command line: its files, and that the same command resumes after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StorageError
from pipeline.matrix.matrix_config import load_matrix
from pipeline.matrix.planned_rows import PlannedRow, planned_rows
from pipeline.matrix.row_build import RowOutcome
from pipeline.matrix.run_matrix import run_matrix
from pipeline.progress import Progress, Silent
from tests.conftest import ROOT, Edgec


@pytest.fixture
def file(tmp_path: Path, quick: Path) -> Path:
    """Two rows that are known to the store of `warm_out`, two that fail, one that is new."""
    settings = "".join(
        f"[build.{line[1:]}\n" if line.startswith("[") else f"{line}\n"
        for line in quick.read_text().splitlines()
        if not line.startswith("target")
    )
    file = tmp_path / "release.toml"
    file.write_text(
        'out = "out"\ntargets = ["reference"]\n'
        '[models.one]\nmodel = "resnet20-fashion"\n[models.two]\nmodel = "resnet20-fashion"\n'
        '[models.lost]\nmodel = "resnet20-fashion"\ncheckpoint = "lost.pth"\n'
        '[models.same]\nmodel = "resnet20-fashion"\n[models.same.calibration]\nimages = 16\n' + settings
    )
    return file


def rows_in(folder: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((folder / "release.json").read_text())
    return {row["name"]: row for row in found["rows"]}


def test_all_rows_are_on_one_page_and_one_that_fails_stops_none(
    edgec: Edgec, file: Path, warm_out: Path
) -> None:
    done = edgec("matrix", file, "--only", "model=[otl]*", "--json")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["exit_code"] == 1
    assert [(row["name"], row["state"]) for row in told["rows"]] == [
        ("one-reference", "finished"),
        ("two-reference", "finished"),
        ("lost-reference", "failed"),
    ]
    assert "lost.pth does not exist" in told["rows"][2]["problem"]
    assert all(row["stages_run"] == 0 for row in told["rows"])
    (choice,) = told["choices"]
    assert (choice["best"], choice["not_worse"]) == ("one-reference", ["two-reference"])
    written = json.loads((warm_out / "release.json").read_text())
    assert {"exit_code": 1, **written} == told
    assert "one-reference/report.html" in (warm_out / "release.html").read_text()
    assert (warm_out / "one-reference" / "report.html").is_file()
    assert (warm_out / "two-reference.edgec").is_file()


@pytest.mark.slow
def test_after_a_kill_of_everything_no_finished_row_is_repeated(
    file: Path, warm_out: Path, edgec: Edgec
) -> None:
    command = [sys.executable, "-m", "pipeline", "matrix", str(file), "--only", "model=[os]*"]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL) as started:
        while (
            not (warm_out / "release.json").exists()
            or rows_in(warm_out)["one-reference"]["state"] == "waiting"
        ):
            assert started.poll() is None
            time.sleep(0.05)
        os.killpg(started.pid, signal.SIGKILL)
    assert "not built yet" in (warm_out / "release.html").read_text()
    again = edgec("matrix", file, "--only", "model=[os]*")
    assert again.returncode == 0, again.stderr
    rows = rows_in(warm_out)
    assert {name: row["state"] for name, row in rows.items()} == dict.fromkeys(rows, "finished")
    assert rows["one-reference"]["stages_run"] == 0
    assert rows["same-reference"]["stages_run"] > 0
    assert rows["same-reference"]["stages_known"] > 0, "the export is shared"


class Stopped:
    """Ends rows without building them, the last one first, and is stopped after one."""

    def run(self, rows: Sequence[PlannedRow], progress: Progress) -> Iterator[tuple[PlannedRow, RowOutcome]]:
        yield rows[-1], RowOutcome(problem="the board is gone")
        raise KeyboardInterrupt


def test_rows_may_end_in_any_order_and_the_page_is_up_to_date_when_it_is_stopped(file: Path) -> None:
    settings = load_matrix(file, None)
    rows = planned_rows(settings, file)
    with pytest.raises(KeyboardInterrupt):
        run_matrix("release", rows, (), settings.out, Stopped(), Silent())
    states = {name: row["state"] for name, row in rows_in(settings.out).items()}
    assert states == {
        **{f"{name}-reference": "waiting" for name in ("one", "two", "lost")},
        "same-reference": "failed",
    }


def test_a_place_that_cannot_be_written_is_named(file: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    settings = load_matrix(file, tmp_path / "taken")
    with pytest.raises(StorageError, match="taken"):
        run_matrix("release", planned_rows(settings, file), (), settings.out, Stopped(), Silent())
