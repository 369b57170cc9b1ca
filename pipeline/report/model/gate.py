"""Gates: limits that were asked for, and the verdict on all of them."""

from collections.abc import Iterable

from pydantic import PositiveInt

from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.record import Record
from targets.base import Origin


class Gate(Record):
    """A limit that was asked for, and whether what was measured stays within it."""

    name: str  # the configuration key, e.g. max_drop
    claim: str  # the claim judged, in words: "top-1 drop below 1.00 points"
    limit: float
    value: float | None  # None: not measured
    interval: Interval | None
    unit: str
    origin: Origin | None  # where the value was measured; None: not measured
    verdict: Verdict
    message: str  # why, and for an inconclusive gate what would decide it
    next_step: str = ""  # what to do, if the gate does not pass
    images_to_decide: PositiveInt | None = None  # None: not needed, or no number of images would


def overall(gates: tuple[Gate, ...]) -> Verdict:
    """Return the verdict of all gates together."""
    return worst(gate.verdict for gate in gates)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of all together: meaningless beats fail beats inconclusive beats pass."""
    found = set(verdicts)
    worst_first = (Verdict.MEANINGLESS, Verdict.FAIL, Verdict.INCONCLUSIVE)
    return next((verdict for verdict in worst_first if verdict in found), Verdict.PASS)
