import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import figures
from pipeline.report.model.certainty import Interval
from pipeline.report.model.measured_latency import Latency, MachineConditions, SpeedRatio
from pipeline.report.sections.latency import machine_state, speed_up
from tests.pipeline.report.samples import report


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "0"), (0.04213, "0.0421"), (0.4213, "0.421"), (1.314, "1.31"), (99.96, "100.0"), (1234.5, "1,234")],
)
def test_significant_digits(value: float, written: str) -> None:
    assert figures.significant(value) == written


@given(st.floats(1e-6, 1e9))
def test_what_is_written_is_within_half_a_percent_of_the_value(value: float) -> None:
    written = figures.significant(value)
    assert "e" not in written
    assert float(written.replace(",", "")) == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (289_000, "282 KiB"), (97_700_000, "93.2 MiB")],
)
def test_sizes(number: int, written: str) -> None:
    assert figures.size(number) == written


def test_an_interval_without_an_upper_end_says_so() -> None:
    open_above = Interval(low=1.25, high=None)
    assert figures.interval(open_above) == "[1.25, unbounded]"
    assert figures.interval(Interval(low=-0.001, high=-0.0)) == "[0.00, 0.00]"  # no negative zero
    assert figures.milliseconds_interval(open_above) == "[1.250, unbounded]"


def test_speed_up_is_the_ratio_turned_over() -> None:
    speed = SpeedRatio(ratio=0.5, interval=Interval(low=0.4, high=0.8), rounds=50, effective_rounds=50.0)
    assert speed_up(speed) == "2.00 [1.25, 2.50] times as fast as FP32"
    unknown = speed.replace(interval=Interval(low=0.0, high=None))
    assert speed_up(unknown) == "2.00 [0.00, unbounded] times as fast as FP32"


def test_the_state_of_the_machine_says_what_changed_and_what_cannot_be_known() -> None:
    found = report().latency_int8
    assert isinstance(found, Latency)
    cool = MachineConditions(
        governors=("schedutil",),
        frequencies_mhz=(2400.0, 2399.7),
        temperature_c=48.5,
        throttle_events=0,
        load_average=0.1,
        cores=2,
    )
    hot = cool.replace(frequencies_mhz=(1500.0, 2400.0), temperature_c=82.0, throttle_events=3)
    assert machine_state(found.replace(before=cool, after=hot)) == (
        "The machine before and after: governor schedutil, slowest clock 2400 to 1500 MHz, "
        "temperature 48.5 to 82 °C, throttling events 0 to 3, load 0.1."
    )
    unknown = MachineConditions(cores=2)
    assert machine_state(found.replace(before=unknown, after=unknown)) == (
        "This system does not report: governor, slowest clock, temperature, throttling events, load."
    )
