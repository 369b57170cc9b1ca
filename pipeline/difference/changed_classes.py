"""Whether B, which is A's network rounded, gives other classes so often that it cannot take A's place."""

from pipeline.difference.compare import NetworkComparison
from pipeline.difference.float_activations import float_activations
from pipeline.difference.side import graph_logits
from pipeline.difference.verdict import Judged, rounds
from pipeline.report.figures import percent
from pipeline.report.model.difference_report import ChangedClasses, LogitAgreement, Sameness
from pipeline.report.stats import wilson_interval

MOST_CHANGED = 0.05
"""The share of pictures with another class that is passed over: the interval has to lie above it."""
HELPS = 0.5
"""Unrounded activations help if they leave at most this share of the changed classes."""
WIDER = 'Set recipe = "w8a8_asym_mse_widest_bc" under [calibration]: activations in 16 bits.'
IN_FLOAT = (
    "Set max_drop under [calibration], which leaves the layers that cost most in float, or fine-tune with"
    " edgec train --qat."
)
LOOK_INSIDE = "Give both networks instead of their outputs, so that it is tried which bits B lacks."
FLOATS = "Compare the two graphs: neither of them rounds."


def changed_classes(judged: Judged, answers: LogitAgreement) -> ChangedClasses | None:
    """Return how many classes B changes, if these are more than may be passed over; else None.

    Not for a program and its own graph, nor where a fault explains the difference.
    """
    if judged.verdict is not Sameness.ROUNDING or answers.same_class is None:
        return None
    found = judged.found
    if found is not None and found.sides.a.model == found.sides.b.model:
        return None
    changed = 1 - answers.same_class
    interval = wilson_interval(round(changed * answers.pictures), answers.pictures)
    if interval.low <= MOST_CHANGED:
        return None
    return ChangedClasses(share=changed, interval=interval, remedy=_remedy(found))


def _remedy(found: NetworkComparison | None) -> str:
    """Say what to do, after it was tried whether unrounded activations give A's classes back."""
    if found is None:
        return LOOK_INSIDE
    if not rounds(found):
        return FLOATS
    ours = found.sides.a_values[found.sides.a.output].argmax(1)
    without = graph_logits(float_activations(found.sides.b.model), found.pictures)
    before = float((found.sides.b_values[found.sides.b.output].argmax(1) == ours).mean())
    after = float((without.argmax(1) == ours).mean())
    tried = (
        f"Tried in a copy of B on {len(found.pictures)} pictures: with activations in float and weights in 8"
        f" bits it gives A's class on {percent(after)}, on {percent(before)} as it is."
    )
    helps = 1 - after <= HELPS * (1 - before)
    return f"{WIDER if helps else IN_FLOAT} {tried}"
