"""Training takes as many threads as there are free cores, unless a number is given."""

from pathlib import Path

import pytest
import torch

from pipeline.training import free_cores as module
from pipeline.training.free_cores import choose_threads, free_cores
from tests.pipeline.training.small_runs import Heard

SECOND = 100
"""Ticks of the clock in a second, as in /proc/stat."""


class CountingKernel:
    """A root folder whose /proc/stat counts on while one second passes."""

    def __init__(self, root: Path, *busy: float) -> None:
        self.root, self.busy = root, busy
        self.seconds = 7
        (root / "proc").mkdir()
        self.write()

    def write(self) -> None:
        lines = ["cpu  1 2 3 4 5 6 7 8 0 0"]
        for core, share in enumerate(self.busy):
            user, idle = (round(part * SECOND * self.seconds) for part in (share, 1 - share))
            lines.append(f"cpu{core} {user} 0 0 {idle - idle // 10} {idle // 10} 0 0 0 {user} 0")
        (self.root / "proc/stat").write_text("\n".join([*lines, "intr 5 6 7", "ctxt 8"]) + "\n")

    def wait(self) -> None:
        self.seconds += 1
        self.write()

    def free(self, *allowed: int) -> float:
        return free_cores(set(allowed), self.root, self.wait)

    def limit(self, line: str) -> None:
        (self.root / "sys/fs/cgroup").mkdir(parents=True)
        (self.root / "sys/fs/cgroup/cpu.max").write_text(line)


@pytest.mark.parametrize(
    ("busy", "free"), [((0, 0), 2), ((1, 0), 1), ((0.5, 0.6), 0.9), ((1, 1), 0), ((0, 0, 1, 0.25), 2.75)]
)
def test_a_core_is_free_for_the_share_of_time_that_it_is_idle(
    busy: tuple[float, ...], free: float, tmp_path: Path
) -> None:
    assert CountingKernel(tmp_path, *busy).free(*range(len(busy))) == pytest.approx(free, abs=0.05)


def test_only_allowed_cores_count(tmp_path: Path) -> None:
    assert CountingKernel(tmp_path, 0, 1, 0, 0).free(0, 1) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("line", "free"), [("max 100000\n", 4), ("150000 100000\n", 1.5)])
def test_a_containers_limit_counts(line: str, free: float, tmp_path: Path) -> None:
    kernel = CountingKernel(tmp_path, 0, 0, 0, 0)
    kernel.limit(line)
    assert kernel.free(0, 1, 2, 3) == pytest.approx(free, abs=0.05)


def test_where_the_kernel_does_not_tell_all_cores_are_free(tmp_path: Path) -> None:
    assert free_cores({0, 1, 2}, tmp_path, lambda: None) == 3


def test_where_the_kernels_counters_stand_still_all_cores_are_free(tmp_path: Path) -> None:
    kernel = CountingKernel(tmp_path, 0.5, 0.5)
    assert free_cores({0, 1}, kernel.root, lambda: None) == 2


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """torch with eight threads, of whose cores 3.4 are free."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(module, "free_cores", lambda _: 3.4)
    return Heard()


def test_no_more_threads_than_free_cores_and_it_says_so(chosen: Heard) -> None:
    assert choose_threads(None, chosen) == 3
    assert chosen.lines[0].startswith("Trains with 3 of 8 threads")


def test_one_thread_where_no_core_is_free(chosen: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_cores", lambda _: 0.2)
    assert choose_threads(None, chosen) == 1


def test_all_threads_where_all_cores_are_free(chosen: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_cores", lambda _: 7.6)
    assert choose_threads(None, chosen) == 8
    assert not chosen.lines


def test_a_setting_and_the_variable_that_it_names_are_taken_as_they_are(
    chosen: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose_threads(6, chosen) == 6
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert choose_threads(None, chosen) == 8
    assert not chosen.lines
