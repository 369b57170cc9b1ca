"""What a Jetson sustained in each power mode: a table, and energy against latency as a plot."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeline.report.model.power_mode_sweep import PowerModeSweep
from pipeline.report.model.sustained_run import SustainedRun
from pipeline.report.plots import Axis
from pipeline.report.section import MarkdownTable, ReportSection
from pipeline.report.table import FigureTable

HEAD = (
    "Power mode",
    "sustained p90",
    "images/s",
    "power",
    "energy/image",
    "above idle",
    "drift",
    "hottest",
    "throttled by",
)
NOT_MEASURED = "not measured"


class HasSwept(Protocol):
    """What the section reads of report.json."""

    @property
    def power_modes(self) -> PowerModeSweep | None:
        """None: no record of power modes was given."""
        ...


@dataclass(frozen=True)
class ModePoint:
    """A mode in the plot, in percent of its width and height."""

    name: str
    x: float
    y: float  # from the top
    written: str


@dataclass(frozen=True)
class ModePlot:
    """Energy of an image against sustained latency; both axes begin at zero."""

    latency: Axis  # ms
    energy: Axis  # mJ
    points: tuple[ModePoint, ...]


class PowerModeSection(ReportSection[HasSwept]):
    """A row for each mode."""

    name = "power_modes"

    def html(self, report: HasSwept) -> Mapping[str, object] | None:
        """Return the rows and the plot."""
        found = report.power_modes
        if found is None:
            return None
        return {"head": HEAD, "rows": _rows(found), "notes": list(notes(found)), "plot": mode_plot(found)}

    def terminal(self, report: HasSwept) -> Iterator[RenderableType]:
        """Yield the rows."""
        if report.power_modes is None:
            return
        table = FigureTable(*HEAD)
        for row in _rows(report.power_modes):
            table.add_row(*row)
        yield table
        for note in notes(report.power_modes):
            yield Padding(Text(note, style="dim"), (0, 0, 0, 1))

    def markdown(self, report: HasSwept) -> Iterator[str | MarkdownTable]:
        """Yield the rows."""
        if report.power_modes is not None:
            yield MarkdownTable((HEAD[0].lower(), *HEAD[1:]), tuple(_rows(report.power_modes)))
            yield from notes(report.power_modes)


def notes(found: PowerModeSweep) -> Iterator[str]:
    """Yield what the rows are of, and which modes were not measured, and why."""
    ran = {one.candidate for one in found.results.values() if one.candidate}
    what = f" of the candidate {', '.join(sorted(ran))}" if ran else ""
    rails = sorted({one.energy.rails for one in found.results.values() if one.energy is not None})
    power = f" Power: {'; '.join(rails)}." if rails else ""
    yield (
        f"A soak{what} of {found.around.seconds:g} s in each mode, on the device. The p90 is that of its "
        f"last fifth. TensorRT chose the engine's kernels in one mode.{power}"
    )
    for name, one in found.results.items():
        if one.power_mode not in ("", name):
            yield f"{name}: the device then had the power mode {one.power_mode}."
    for name, different in found.not_in_force.items():
        yield f"{name} is not in force, so it was not measured: {'; '.join(different)}."
    if found.left:
        yield f"Not measured, since they need a reboot: {', '.join(found.left)}."


def mode_plot(found: PowerModeSweep) -> ModePlot | None:
    """Return a point for each mode with both figures; None if there is none."""
    known = [
        (name, one.sustained_p90_ms[0], one.energy.mj_per_image)
        for name, one in found.results.items()
        if one.sustained_p90_ms is not None and one.energy is not None and one.energy.mj_per_image > 0
    ]
    if not known:
        return None
    latency = Axis(0.0, 1.15 * max(point[1] for point in known))
    energy = Axis(0.0, 1.15 * max(point[2] for point in known))
    points = tuple(
        ModePoint(name, latency.at(ms), round(100 - energy.at(mj), 3), f"{ms:.2f} ms, {mj:.1f} mJ")
        for name, ms, mj in known
    )
    return ModePlot(latency, energy, points)


def _rows(found: PowerModeSweep) -> list[tuple[str, ...]]:
    rows = [(name, *_cells(one)) for name, one in found.results.items()]
    missing = [*found.not_in_force, *found.left]
    return [*rows, *((name, NOT_MEASURED, *[""] * (len(HEAD) - 2)) for name in missing)]


def _cells(one: SustainedRun) -> tuple[str, ...]:
    p90, spent, drift = one.sustained_p90_ms, one.energy, one.drift
    power = (NOT_MEASURED, "", "")
    if spent is not None:
        power = (
            f"{spent.watts:.2f} W",
            f"{spent.mj_per_image:.2f} mJ{_margin(spent.half_width_mj)}",
            f"{spent.above_idle_mj:.2f} mJ{_margin(spent.above_idle_half_width_mj)}",
        )
    return (
        "nothing ran" if p90 is None else f"{p90[0]:.3f} ms [{p90[1]:.3f}, {_bound(p90[2])}]",
        f"{one.images_per_s:.1f}",
        *power,
        NOT_MEASURED if drift is None else f"{drift.ratio:.3f} [{drift.low:.3f}, {_bound(drift.high)}]",
        "" if one.hottest_c is None else f"{one.hottest_c:.0f} °C",
        ", ".join(one.held_back) or "nothing",
    )


def _margin(half_width: float | None) -> str:
    return "" if half_width is None else f" ±{half_width:.2f}"


def _bound(high: float | None) -> str:
    return "unbounded" if high is None else f"{high:.3f}"
