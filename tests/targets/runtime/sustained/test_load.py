"""What follows from minutes of load, on loads whose answers are known."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from targets.runtime.bundle.manifest import NAME, Manifest
from targets.runtime.sustained.load import (
    BATCHES,
    T_OF_BATCHES,
    Load,
    PowerSample,
    Seen,
    drift,
    energy,
    held_back,
    sustained_p90,
)
from targets.runtime.sustained.soak import Soaked, judge, main, soak, words
from tests.targets.runtime.sum_runner import RUNNER


def steady(watts: float = 10.0, ms: float = 10.0, last_ms: float = 10.0) -> Load:
    """100 seconds: an inference every 10 ms, of `last_ms` in the second half; power once a second."""
    began = np.arange(10_000) / 100
    took = np.where(began < 50, ms, last_ms)
    power = tuple(PowerSample(second + 0.5, watts) for second in range(100))
    return Load(100.0, 1, began, took, power, ())


def test_energy_is_power_times_time_over_images() -> None:
    found = energy(steady(watts=10.0), "rail VDD_IN", [4.0] * 30)
    assert found is not None
    assert found.mj_per_image == pytest.approx(10.0 * 100 / 10_000 * 1000)
    assert found.above_idle_mj == pytest.approx(6.0 * 100 / 10_000 * 1000)
    assert found.half_width_mj == pytest.approx(0.0)
    batch = energy(replace(steady(), batch=4), "", [0.0])
    assert batch is not None
    assert batch.mj_per_image == pytest.approx(25.0)


def test_its_interval_is_student_s_of_ten_parts_of_the_time() -> None:
    assert pytest.approx(stats.t.ppf(0.975, BATCHES - 1), abs=1e-3) == T_OF_BATCHES
    power = tuple(PowerSample(second + 0.5, 10.0 + second // 10) for second in range(100))
    found = energy(replace(steady(), power=power), "", [0.0])
    assert found is not None
    parts = [10 * (10.0 + i) * 1000 / 1000 for i in range(10)]
    low, high = stats.t.interval(0.95, 9, np.mean(parts), stats.sem(parts))
    assert found.half_width_mj == pytest.approx((high - low) / 2, rel=1e-3)


def test_with_few_readings_there_is_no_interval_and_without_any_no_energy() -> None:
    few = energy(
        replace(steady(), power=tuple(PowerSample(i, 5.0) for i in range(0, 100, 5))), "", [0.0] * 30
    )
    assert few is not None
    assert few.half_width_mj is None
    assert few.above_idle_half_width_mj is None
    assert energy(replace(steady(), power=()), "", [0.0]) is None
    assert energy(steady(), "", []) is None


def test_what_is_above_idle_has_the_error_of_the_idle_power_too() -> None:
    """It was given the interval of the whole, as if the idle power were known exactly."""
    idle = np.repeat(np.arange(10) / 10, 3)
    found = energy(steady(watts=10.0), "", idle.tolist())
    assert found is not None
    low, high = stats.t.interval(0.95, 9, np.mean(idle), stats.sem(idle[::3]))
    milliseconds_an_image = 10.0
    assert found.half_width_mj == pytest.approx(0.0)
    assert found.above_idle_half_width_mj == pytest.approx(milliseconds_an_image * (high - low) / 2, rel=1e-3)
    few = energy(steady(watts=10.0), "", idle[:29].tolist())
    assert few is not None
    assert few.half_width_mj == pytest.approx(0.0)
    assert few.above_idle_half_width_mj is None


def test_drift_compares_the_last_fifth_with_the_first() -> None:
    found = drift(steady(ms=10.0, last_ms=12.0))
    assert found is not None
    assert (found.ratio, found.low, found.high) == pytest.approx((1.2, 1.2, 1.2))
    nothing_at_the_end = Load(100.0, 1, np.array([0.0]), np.array([1.0]), (), ())
    assert drift(nothing_at_the_end) is None
    assert sustained_p90(nothing_at_the_end) is None


def test_what_is_sustained_is_the_last_fifth() -> None:
    found = sustained_p90(steady(ms=1.0, last_ms=12.0))
    assert found is not None
    assert found.value == 12.0


def test_a_reason_is_told_with_the_moment_it_was_first_seen() -> None:
    seen = (
        Seen(0, 40.0, ()),
        Seen(30, 80.0, ("cooled by slowing gpu",)),
        Seen(60, 85.0, ("cooled by slowing gpu", "b")),
    )
    assert held_back(replace(steady(), seen=seen)) == {"cooled by slowing gpu": 30, "b": 60}


FOUND = Soaked(60.0, 100, 10.0, (5.0, 4.9, 5.1), None, None, {}, None, "no sensor")


@pytest.mark.parametrize(
    ("limit", "code", "said"),
    [
        (None, 0, ""),
        (6.0, 0, "pass, it is 5.000 ms [4.900, 5.100]"),
        (4.0, 1, "FAIL"),
        (5.0, 3, "not decided, it is 5.000 ms [4.900, 5.100]. Run it longer"),
    ],
)
def test_the_gate_judges_by_the_whole_interval(limit: float | None, code: int, said: str) -> None:
    found, verdict = judge(FOUND, limit)
    assert found == code
    assert said in verdict


def test_without_an_upper_bound_nothing_passes() -> None:
    assert judge(replace(FOUND, sustained_p90_ms=(5.0, 4.9, None)), 100.0)[0] == 3
    assert judge(replace(FOUND, sustained_p90_ms=None), 100.0)[0] == 3


class Meter:
    """Always 10 W."""

    rails, interval_s, closed = "rail VDD_IN", 0.001, False

    def __init__(self) -> None:
        self.was_read = threading.Event()

    def watts(self) -> float | None:
        self.was_read.set()
        return 10.0

    def close(self) -> None:
        self.closed = True


def test_a_soak_reads_power_beside_the_load_and_says_what_is_in_it() -> None:
    meter, calls = Meter(), list[int]()

    def call() -> None:
        calls.append(1)
        if len(calls) == 2:  # the first call is made before the soak
            meter.was_read.clear()
            meter.was_read.wait()

    found = soak(call, 0.05, 0.01, meter)
    assert found.inferences == len(calls) - 1
    assert found.energy is not None
    assert (found.energy.watts, found.energy.idle_watts) == (10.0, 10.0)
    assert found.energy.above_idle_mj == pytest.approx(0.0, abs=1e-9)
    assert meter.closed
    text = "\n".join(words(found))
    assert "without the idle 10.00 W" in text
    assert "rail VDD_IN" in text


def test_without_a_sensor_energy_is_not_made_up() -> None:
    found = soak(lambda: None, 0.01, 0.01, None)
    assert found.energy is None
    assert words(found)[-1] == "energy: no sensor on this board measures its power"


def test_the_program_runs_an_unpacked_bundle_and_keeps_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "soaked_runner.py").write_text(RUNNER)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "engine").write_text("1")
    np.savez(tmp_path / "evaluation.npz", images=np.zeros((3, 2, 2, 3), np.uint8))
    manifest = Manifest(
        model="made-up",
        target="arm",
        fingerprint="",
        engine="engine",
        runner="soaked_runner",
        classes=("a",),
        preprocessing={"height": 2, "width": 2, "channels": 3, "fit": "pad"},
        files={},
        state="built",
    )
    (tmp_path / NAME).write_text(manifest.to_json())
    short = ["--minutes", "0.0005", "--idle-seconds", "0.01"]
    assert main(tmp_path, short) == 0
    assert "images a second" in capsys.readouterr().out
    assert json.loads((tmp_path / "soak.json").read_text())["inferences"] > 0
    (tmp_path / "engine").write_text("no engine")
    assert main(tmp_path, short) == 1
    assert capsys.readouterr().err.startswith("soak: ")
    with pytest.raises(SystemExit):
        main(tmp_path, ["--minutes", "0"])
    assert "0 is not above 0" in capsys.readouterr().err
