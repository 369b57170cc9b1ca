import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from targets.runtime.measure import (
    Settings,
    from_json,
    main,
    measure,
    measure_engine,
    measure_engines,
    to_json,
    warm_up,
)
from tests.targets.runtime.sum_runner import RUNNER

QUICK = Settings(min_runs=20, max_runs=40, max_seconds=2.0, max_warmup_seconds=0.2)


class Recorder:
    """A runner that remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[NDArray[np.uint8]] = []

    def infer(self, images: NDArray[np.uint8]) -> None:
        self.seen.append(images)


class Clock:
    """A clock that only the code under test moves, so nothing here depends on real time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ns = 0
        monkeypatch.setattr(time, "perf_counter_ns", lambda: self.ns)
        monkeypatch.setattr(time, "perf_counter", lambda: self.ns / 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_steady_runs_stop_at_the_minimum_because_the_median_is_precise(clock: Clock) -> None:
    def call() -> None:
        clock.ns += 10_000_000

    (found,) = measure([call], Settings(min_runs=30, max_runs=500))
    assert found.runs_ns == (10_000_000,) * 30
    assert found.stopped == "precise"
    assert found.warmup_stable
    assert found.block == 0  # nothing alternated


def test_erratic_runs_go_on_to_the_maximum(clock: Clock) -> None:
    rng = np.random.default_rng(0)

    def call() -> None:
        clock.ns += int(1_000_000 * (1 + rng.random()))

    (found,) = measure([call], Settings(min_runs=20, max_runs=200, precision=0.001))
    assert len(found.runs_ns) == 200
    assert found.stopped == "max_runs"


def test_precision_decides_how_long_erratic_runs_go_on(clock: Clock) -> None:
    rng = np.random.default_rng(0)

    def call() -> None:
        clock.ns += int(1_000_000 * (1 + 0.2 * rng.random()))

    runs = [
        len(measure([call], Settings(min_runs=20, max_runs=5000, precision=p))[0].runs_ns)
        for p in (0.02, 0.005)
    ]
    assert runs[0] < runs[1] < 5000


def test_a_slow_engine_stops_when_time_is_up(clock: Clock) -> None:
    def call() -> None:
        clock.ns += 3_000_000_000

    (found,) = measure([call], Settings(max_seconds=20, max_warmup_seconds=5))
    assert found.stopped == "max_seconds"
    assert len(found.runs_ns) == 7
    assert found.warmup_runs == 2
    assert not found.warmup_stable


def test_warm_up_waits_until_latency_has_settled(clock: Clock) -> None:
    taken: list[int] = []

    def call() -> None:
        taken.append(max(5_000_000, 20_000_000 - 100_000 * len(taken)))
        clock.ns += taken[-1]

    found = warm_up(call, Settings(max_warmup_seconds=60))
    assert found.stable
    assert found.runs == len(taken)
    assert taken[-20:] == [5_000_000] * 20


def test_two_callables_alternate_in_blocks_and_each_block_starts_with_an_untimed_run(clock: Clock) -> None:
    order: list[str] = []

    def make(name: str, ns: int) -> object:
        def call() -> None:
            clock.ns += ns
            order.append(name)

        return call

    settings = Settings(min_runs=4, max_runs=4, block=2, precision=0.0)
    a, b = measure([make("a", 5_000_000), make("b", 7_000_000)], settings)  # type: ignore[list-item]
    assert a.runs_ns == (5_000_000,) * 4
    assert b.runs_ns == (7_000_000,) * 4
    assert (a.block, b.block) == (2, 2)
    assert "".join(order[-12:]) == "aaabbbbbbaaa"


def test_garbage_collection_is_off_while_timing_and_back_on_after(clock: Clock) -> None:
    states: list[bool] = []

    def call() -> None:
        clock.ns += 10_000_000
        states.append(gc.isenabled())

    measure([call], QUICK)
    assert not any(states[-20:])
    assert gc.isenabled()


def test_an_engine_sees_every_batch_in_turn_and_its_memory_is_measured() -> None:
    runner = Recorder()

    @contextmanager
    def opened() -> Iterator[Recorder]:
        yield runner

    images = np.arange(7, dtype=np.uint8).reshape(7, 1, 1, 1)
    found = measure_engine(
        opened, images, Settings(batch=2, min_runs=20, max_runs=40, max_warmup_seconds=0.1)
    )
    firsts = {int(seen[0, 0, 0, 0]) for seen in runner.seen}
    assert firsts == {0, 2, 4}  # the seventh image does not fill a batch
    assert all(seen.shape == (2, 1, 1, 1) for seen in runner.seen)
    assert found.memory is not None
    assert found.memory.peak_bytes >= found.memory.before_open_bytes > 1_000_000
    assert found.batch == 2


def test_too_few_images_for_a_batch_are_refused() -> None:
    @contextmanager
    def opened() -> Iterator[Recorder]:
        yield Recorder()

    with pytest.raises(ValueError, match="3 images cannot fill a batch of 4"):
        measure_engine(opened, np.zeros((3, 2, 2, 1), np.uint8), Settings(batch=4))


def test_several_engines_have_no_memory_figure_and_all_are_closed() -> None:
    events: list[str] = []

    @contextmanager
    def opened() -> Iterator[Recorder]:
        events.append("open")
        yield Recorder()
        events.append("close")

    found = measure_engines([opened, opened], np.zeros((1, 2, 2, 1), np.uint8), QUICK)
    assert [m.memory for m in found] == [None, None]
    assert len(found[0].runs_ns) == len(found[1].runs_ns)
    assert events == ["open", "open", "close", "close"]


def test_measurements_survive_json() -> None:
    found = measure([lambda: None, lambda: None], QUICK)
    assert from_json(to_json(found)) == found


def test_as_a_program_it_prints_measurements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sum_runner.py").write_text(RUNNER)
    (tmp_path / "engine").write_text("3")
    np.save(tmp_path / "images.npy", np.ones((2, 4, 4, 3), np.uint8))
    monkeypatch.syspath_prepend(str(tmp_path))
    engine = ["--engine", "sum_runner", str(tmp_path / "engine")]
    settings = ["--settings", json.dumps({"min_runs": 20, "max_runs": 20, "max_warmup_seconds": 0.1})]
    main([*engine, "--images", str(tmp_path / "images.npy"), *settings])
    (alone,) = from_json(capsys.readouterr().out)
    assert len(alone.runs_ns) == 20
    assert alone.memory is not None
    main([*engine, *engine, "--images", str(tmp_path / "images.npy"), *settings])
    assert len(from_json(capsys.readouterr().out)) == 2
