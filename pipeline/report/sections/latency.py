"""Latency of FP32 and INT8, with the state of the machine, or the instructions that an emulator counts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeline.report import figures
from pipeline.report.model.certainty import NotMeasured
from pipeline.report.model.measured_latency import (
    Instructions,
    Latency,
    MachineConditions,
    MeasuredLatency,
    SpeedRatio,
)
from pipeline.report.plots import latency_plot
from pipeline.report.section import ComparedFigure, HeadlineFigure, ReportSection
from pipeline.report.table import FigureTable


class Timed(Protocol):
    """What the section reads of report.json."""

    @property
    def latency_fp32(self) -> MeasuredLatency:
        """Of the float model in onnxruntime."""
        ...

    @property
    def latency_int8(self) -> MeasuredLatency:
        """Of the engine."""
        ...

    @property
    def speed(self) -> SpeedRatio | None:
        """INT8's time over FP32's; None: they were not measured alternately."""
        ...

    @property
    def instructions_int8(self) -> Instructions | None:
        """Counted where the engine was emulated."""
        ...


class LatencySection(ReportSection[Timed]):
    """Quantiles, throughput and every run of both networks."""

    name = "latency"

    def html(self, report: Timed) -> Mapping[str, object]:
        """Return each network's latency with its drawing, and what describes them."""
        shared = shared_circumstances(report)
        return {
            "shared": shared,
            "latencies": [
                (name, latency, latency_plot(latency.runs_ns) if isinstance(latency, Latency) else None)
                for name, latency in _both(report)
            ],
            "speed": report.speed,
            "speed_up": speed_up,
            "instructions": None
            if report.instructions_int8 is None
            else instructions(report.instructions_int8),
            "circumstances": circumstances,
            "stopping": stopping,
            "machine_state": machine_state,
            "own_noise": lambda latency: own_noise(latency, shared),
        }

    def terminal(self, report: Timed) -> Iterator[RenderableType]:
        """Yield the figures, and how they were measured."""
        latencies = report.latency_fp32, report.latency_int8
        table = FigureTable("Latency", "FP32", "INT8")
        for name in ("p50", "p90", "p99"):
            table.add_row(name, *(quantile(latency, name) for latency in latencies))
        table.add_row("throughput", *(throughput(latency) for latency in latencies))
        yield table
        yield from (Padding(note, (0, 0, 0, 1)) for note in _notes(report))

    def markdown_rows(self, report: Timed) -> Iterator[ComparedFigure]:
        """Yield the medians."""
        yield ComparedFigure("latency p50", _median(report.latency_fp32), _median(report.latency_int8))

    def tiles(self, report: Timed) -> Iterator[HeadlineFigure]:
        """Yield INT8's median and throughput."""
        int8 = report.latency_int8
        if isinstance(int8, NotMeasured):
            yield HeadlineFigure("INT8 latency, p50", figures.NOT_MEASURED, int8.reason)
            yield HeadlineFigure("INT8 throughput", figures.NOT_MEASURED, int8.reason)
            return
        note = f"on {int8.origin}{', noisy' if int8.noisy else ''}"
        if report.speed is not None:
            note = f"{1 / report.speed.ratio:.2f} times as fast as FP32, {note}"
        yield HeadlineFigure("INT8 latency, p50", figures.milliseconds(int8.p50.ms), note)
        rate = f"{figures.significant(int8.throughput_per_s)} /s"
        yield HeadlineFigure("INT8 throughput", rate, f"images, batch {int8.batch}, on {int8.origin}")

    def methods(self, report: Timed) -> Iterator[str]:  # noqa: ARG002 - the same for every report
        """Yield what intervals latencies have."""
        yield "Latency intervals lie between order statistics, widened for autocorrelation."


@dataclass(frozen=True)
class SharedCircumstances:
    """What is true of FP32's latency and INT8's, and so is said once."""

    noisy: tuple[str, ...] = ()
    state: str = ""


def shared_circumstances(report: Timed) -> SharedCircumstances:
    """Return the reasons for noise, and the state of the machine, that both latencies have."""
    fp32, int8 = report.latency_fp32, report.latency_int8
    if isinstance(fp32, NotMeasured) or isinstance(int8, NotMeasured):
        return SharedCircumstances()
    state = machine_state(fp32)
    return SharedCircumstances(
        noisy=tuple(reason for reason in fp32.noisy if reason in int8.noisy),
        state=state if state == machine_state(int8) else "",
    )


def own_noise(latency: Latency, shared: SharedCircumstances) -> tuple[str, ...]:
    """Return the reasons for noise that only this latency has."""
    return tuple(reason for reason in latency.noisy if reason not in shared.noisy)


def quantile(latency: Latency | NotMeasured, name: str) -> str:
    """Write p50, p90 or p99 with its interval."""
    if isinstance(latency, NotMeasured):
        return figures.NOT_MEASURED
    found = {"p50": latency.p50, "p90": latency.p90, "p99": latency.p99}[name]
    return f"{figures.milliseconds(found.ms)} {figures.milliseconds_interval(found.interval)}"


def throughput(latency: Latency | NotMeasured) -> str:
    """Write a throughput: 763 images/s."""
    if isinstance(latency, NotMeasured):
        return figures.NOT_MEASURED
    return f"{figures.significant(latency.throughput_per_s)} images/s"


def speed_up(speed: SpeedRatio, than: str = "FP32") -> str:
    """Write how fast INT8 is against FP32: 3.12 [3.11, 3.13] times as fast."""
    return f"{times_as_fast(speed)} times as fast as {than}"


def times_as_fast(speed: SpeedRatio) -> str:
    """Write the factor alone: 3.12 [3.11, 3.13]."""
    fastest = f"{1 / speed.interval.low:.2f}" if speed.interval.low > 0 else "unbounded"
    slowest = 0.0 if speed.interval.high is None else 1 / speed.interval.high
    return f"{1 / speed.ratio:.2f} [{slowest:.2f}, {fastest}]"


def circumstances(latency: Latency) -> str:
    """Write how a latency was measured: host, batch 1, 2 threads, 600 runs after 60 of warm-up."""
    threads = (
        "threads as the runner decides"
        if latency.threads is None
        else figures.plural(latency.threads, "thread")
    )
    runs = (
        f"{figures.plural(len(latency.runs_ns), 'run')} after {figures.count(latency.warmup_runs)} of warm-up"
    )
    return f"{latency.origin}, batch {latency.batch}, {threads}, {runs}"


def stopping(latency: Latency) -> str:
    """Write why no more runs were made."""
    reasons = {
        "precise": "stopped when the median was known as precisely as asked",
        "max_runs": "stopped at the most runs allowed",
        "max_seconds": "stopped when the time allowed was up",
    }
    return reasons[latency.stopped]


def machine_state(latency: Latency) -> str:
    """Write the state of the machine before and after measuring, as far as it could be read."""
    before, after = latency.before, latency.after
    pairs: tuple[tuple[str, float | None, float | None, str], ...] = (
        ("slowest clock", _slowest(before), _slowest(after), "MHz"),
        ("temperature", before.temperature_c, after.temperature_c, "°C"),
        ("throttling events", before.throttle_events, after.throttle_events, ""),
        ("load", before.load_average, after.load_average, ""),
    )
    known = [f"governor {', '.join(before.governors)}"] if before.governors else []
    unknown = [] if before.governors else ["governor"]
    for name, first, last, unit in pairs:
        if first is None or last is None:
            unknown.append(name)
        else:
            change = f"{first:.4g}" if first == last else f"{first:.4g} to {last:.4g}"
            known.append(f"{name} {change} {unit}".strip())
    said = f"The machine before and after: {', '.join(known)}." if known else ""
    missing = f"This system does not report: {', '.join(unknown)}." if unknown else ""
    return f"{said} {missing}".strip()


def _slowest(state: MachineConditions) -> float | None:
    return min(state.frequencies_mhz, default=None)


def instructions(counted: Instructions) -> str:
    """Say how many instructions an inference executes, and where that was counted."""
    number = figures.count(counted.per_inference)
    return f"{number} instructions an inference ({counted.origin}: {counted.machine})"


def _both(report: Timed) -> tuple[tuple[str, MeasuredLatency], ...]:
    return ("FP32", report.latency_fp32), ("INT8", report.latency_int8)


def _notes(report: Timed) -> Iterator[Text]:
    if report.speed is not None:
        yield Text(f"INT8 is {speed_up(report.speed)}")
    shared = shared_circumstances(report)
    if shared.noisy:
        yield Text(f"FP32 and INT8 are noisy: {'; '.join(shared.noisy)}", style="yellow")
    for name, latency in _both(report):
        if isinstance(latency, NotMeasured):
            yield Text(f"{name} not measured: {latency.reason}", style="yellow")
        else:
            yield Text(f"{name}: {circumstances(latency)}", style="dim")
            if noisy := own_noise(latency, shared):
                yield Text(f"{name} is noisy: {'; '.join(noisy)}", style="yellow")
    if report.instructions_int8 is not None:
        yield Text(f"INT8 executes {instructions(report.instructions_int8)}")


def _median(latency: Latency | NotMeasured) -> str:
    if isinstance(latency, NotMeasured):
        return figures.NOT_MEASURED
    return f"{figures.milliseconds(latency.p50.ms)} ({latency.origin})"
