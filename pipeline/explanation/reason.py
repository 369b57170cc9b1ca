"""The explanation of a picture in words."""

from pipeline.report.figures import percent, significant
from pipeline.report.model.image_explanation import Cause, ImageExplanation, LayerEffect, UsualMargins

WHOLE_SET = (
    "One picture is no reason to change a build: judge a recipe on all evaluation images, with `edgec build"
    " --recipe` and `edgec report compare`."
)

MOST = 0.5
"""A margin is not small if at least this share of the images does not exceed it."""


def cause_of(flipped: bool, fp32: float, int8: float, usual: UsualMargins | None) -> Cause:
    """Say whether a usual change was enough to cross FP32's margin."""
    if not flipped:
        return Cause.SAME_CLASS
    if usual is None:
        return Cause.NOT_WEIGHED
    if abs(int8 - fp32) > usual.largest_usual_change:
        return Cause.UNUSUAL_CHANGE
    return Cause.CLOSE_CALL if usual.smaller_share <= MOST else Cause.COARSE_BUILD


def summary_of(found: ImageExplanation) -> str:
    """Say in a few sentences what was found."""
    before, after = found.fp32.margin, found.int8.margin
    if not found.flipped:
        said = (
            f"Not flipped: both say {found.first}. Over {found.second}, the next in INT8, the margin is"
            f" {significant(before)} in FP32 and {significant(after)} in INT8."
        )
    else:
        said = (
            f"Flipped: FP32 says {found.first}, by {significant(before)} over {found.second}; INT8 says"
            f" {found.second}, by {significant(-after)}."
        )
    return " ".join([said, *_weighed(found)])


def _weighed(found: ImageExplanation) -> list[str]:
    usual = found.usual
    if usual is None:
        return []
    change, limit = abs(found.int8.margin - found.fp32.margin), usual.largest_usual_change
    among = f"{usual.images} labelled images of the two classes"
    if found.cause is Cause.UNUSUAL_CHANGE:
        return [
            f"Rounding changed the margin by {significant(change)}, up to {significant(limit)} is usual (95 %"
            f" of {among}): this picture is rounded worse than others."
        ]
    if found.cause is Cause.CLOSE_CALL:
        return [
            f"A close call: rounding usually changes a margin by up to {significant(limit)} (95 % of"
            f" {among}), and {percent(usual.smaller_share)} of them have as small a margin in FP32."
        ]
    if found.cause is Cause.COARSE_BUILD:
        return [
            f"FP32 was as sure as of other pictures: {percent(usual.smaller_share)} of {among} have no larger"
            f" margin. But INT8 changes 5 % of them by {significant(limit)} and more: it is the build, not"
            " the picture."
        ]
    kind = "is usual" if change <= limit else "is more than usual"
    return [
        f"Rounding changed it by {significant(change)}, which {kind}: up to {significant(limit)} for 95 % of"
        f" {among}."
    ]


def advice_for(found: ImageExplanation) -> str:
    """Say what changes INT8's class of the picture, of all that was tried."""
    layers = [one for one in found.layers if found.changes_class(one.alone)]
    bits = [one.change.partition(":")[0] for one in found.more_bits if found.changes_class(one.margin)]
    if not found.flipped:
        words = [*(f"{one.layer} in float" for one in layers), *bits]
        if not words:
            return "Nothing that was tried changes the class."
        return f"The class is not stable. INT8 gives another one with: {'; '.join(words)}."
    more = f"Changed back by: {'; '.join(bits)}." if bits else "More bits, as tried, do not change it back."
    return " ".join([_layers_back(layers, len(found.layers)), more, WHOLE_SET])


def _layers_back(layers: list[LayerEffect], known: int) -> str:
    best = max(layers, key=lambda one: one.alone or 0.0, default=None)
    if best is None:
        return "No single layer in float changes the class back."
    most = f"{len(layers)} of {known} layers change the class back alone in float, most of all"
    only = f"1 of {known} layers changes the class back alone in float:"
    return f"{only if len(layers) == 1 else most} {best.layer} (by {significant(best.alone or 0.0)})."
