"""What a device sustained over minutes."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from rich.console import RenderableType
from rich.text import Text

from pipeline.report.model.sustained_run import SustainedEnergy, SustainedRun
from pipeline.report.section import ReportSection


class WithSoak(Protocol):
    """What the section reads of report.json."""

    @property
    def sustained(self) -> SustainedRun | None:
        """None: no record of a soak was given."""
        ...


class SustainedSection(ReportSection[WithSoak]):
    """Latency, drift, heat and energy, each one sentence."""

    name = "sustained"

    def html(self, report: WithSoak) -> Mapping[str, object] | None:
        """Return the sentences."""
        return None if report.sustained is None else {"sentences": list(sentences(report.sustained))}

    def terminal(self, report: WithSoak) -> Iterator[RenderableType]:
        """Yield the sentences."""
        if report.sustained is not None:
            yield Text(" ".join(sentences(report.sustained)))

    def markdown(self, report: WithSoak) -> Iterator[str]:
        """Yield the sentences."""
        if report.sustained is not None:
            yield " ".join(sentences(report.sustained))


def sentences(found: SustainedRun) -> Iterator[str]:
    """Yield what the device's record says, in its own units."""
    minutes = found.seconds / 60
    what = f" of the candidate {found.candidate}" if found.candidate else ""
    yield f"A soak{what} of {minutes:.1f} minutes on the device: {found.images_per_s:.1f} images a second."
    if found.power_mode:
        yield f"Power mode {found.power_mode}."
    if found.sustained_p90_ms is not None:
        value, low, high = found.sustained_p90_ms
        yield f"p90 in the last fifth {value:.3f} ms [{low:.3f}, {_bound(high)}]."
    if found.drift is not None:
        drift = found.drift
        yield (
            f"The median then takes {drift.ratio:.3f} times as long as in the first fifth "
            f"[{drift.low:.3f}, {_bound(drift.high)}]."
        )
    heat = "No temperature sensor" if found.hottest_c is None else f"Hottest {found.hottest_c:.0f} °C"
    held = ", ".join(f"{limit} from {at:.0f} s on" for limit, at in found.held_back.items())
    yield f"{heat}; throttled by {held or 'nothing that the device reports'}."
    yield f"Energy: {found.no_energy}." if found.energy is None else _energy(found.energy)


def _energy(found: SustainedEnergy) -> str:
    return (
        f"Energy: {found.mj_per_image:.3f} mJ an image ({_about(found.half_width_mj)}), "
        f"{found.above_idle_mj:.3f} mJ without the idle {found.idle_watts:.2f} W "
        f"({_about(found.above_idle_half_width_mj)}); {found.rails}."
    )


def _about(half_width: float | None) -> str:
    return "too few readings for an interval" if half_width is None else f"±{half_width:.3f}"


def _bound(high: float | None) -> str:
    return "unbounded" if high is None else f"{high:.3f}"
