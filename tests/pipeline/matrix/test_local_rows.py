"""Each row is built in its own process: if that process dies, the other rows are still built."""

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

from pipeline.config import BuildConfig, load_config
from pipeline.matrix.local_rows import LocalRows
from pipeline.matrix.planned_rows import PlannedRow
from pipeline.progress import Silent


def row(out: Path, quick: Path, name: str, **changes: object) -> PlannedRow:
    return PlannedRow(
        name, "default", "reference", "none", load_config(BuildConfig, quick, {"out": out, **changes})
    )


class DeadlyRow(PlannedRow):
    """A row whose process is killed as soon as it has it, as the kernel does when memory runs out."""

    def __setstate__(self, state: dict[str, object]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class FaultyRow(PlannedRow):
    """A row that meets a bug."""

    def __setstate__(self, state: dict[str, object]) -> None:
        raise AssertionError("a bug")


def test_a_row_that_fails_or_dies_stops_no_other(warm_out: Path, quick: Path) -> None:
    good = row(warm_out, quick, "good")
    rows = [
        row(warm_out, quick, "no-data", data="nowhere"),
        DeadlyRow(**vars(replace(good, model="killed"))),
        FaultyRow(**vars(replace(good, model="faulty"))),
        good,
    ]
    ended = {row.model: outcome for row, outcome in LocalRows().run(rows, Silent())}
    assert list(ended) == ["no-data", "killed", "faulty", "good"]
    assert "There is no data set nowhere" in ended["no-data"].problem
    assert "ended by signal 9, as the kernel does when memory runs out" in ended["killed"].problem
    assert "exit code 1: a bug of edgec's" in ended["faulty"].problem
    assert ended["good"].report == warm_out / "good-reference" / "report.json"
    assert (ended["good"].problem, ended["good"].stages_run) == ("", 0)
    assert not multiprocessing.active_children()
