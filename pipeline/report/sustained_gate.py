"""Judge the p90 that a device sustains, by the whole interval of its record."""

from collections.abc import Iterator

from pipeline.report.latency_gates import unmeasured_gate
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.gate import Gate
from pipeline.report.model.sustained_run import SustainedRun
from targets.base import Origin
from targets.runtime.paired_difference import LEVEL

NAME = "sustained_p90_ms"
RUN_IT = "Run `./run soak` on the device, and give its soak.json with soak = under the top-level settings."


def sustained_gates(limit: float | None, found: SustainedRun | None, origin: Origin) -> Iterator[Gate]:
    """Yield the gate if there is a limit in ms."""
    if limit is None:
        return
    reason = "not measured: no soak is given" if found is None else "nothing ran in the soak's last fifth"
    claim = f"p90 latency in the last fifth of a soak at most {limit:g} ms"
    gate = unmeasured_gate(NAME, claim, limit, reason).replace(next_step=RUN_IT)
    if found is None or found.sustained_p90_ms is None:
        yield gate
        return
    value, low, high = found.sustained_p90_ms
    what = f", of the candidate {found.candidate}" if found.candidate else ""
    verdict, step = Verdict.PASS, ""
    if low > limit:
        verdict, step = Verdict.FAIL, "Cool the device, or choose another power mode: `./run power-modes`."
    elif high is None or high > limit:
        verdict, step = Verdict.INCONCLUSIVE, "Soak it longer: `./run soak --minutes 30`."
    yield gate.replace(
        value=value,
        interval=Interval(low=low, high=high, level=LEVEL),
        origin=origin,
        verdict=verdict,
        message=f"it is {value:.3f} ms [{low:.3f}, {'unbounded' if high is None else f'{high:.3f}'}]{what}",
        next_step=step,
    )
