"""Describes the layers that were left in floating point to keep the drop within its limit."""

from pipeline.report import figures
from pipeline.report.model.float_layers import FloatLayer, MixedPrecision


def conclusion(mixed: MixedPrecision) -> str:
    """Say in one sentence which layers in float keep the drop within the limit on the tuning images."""
    limit, on = f"{mixed.max_drop_points:g} points", f"on {figures.plural(mixed.images, 'tuning image')}"
    if not mixed.passes:
        return (
            f"A drop within {limit} cannot be shown {on}: with no layer in INT8 its interval would still end"
            f" at {_end(mixed.all_float.high)}. All layers stay in INT8. Set aside more images for"
            " calibration, or raise calibration.max_drop."
        )
    ends = f"its interval ends at {_end(mixed.drop.high)}"
    if not mixed.layers:
        return f"All layers in INT8 keep the drop within {limit} {on}: {ends}."
    return (
        f"{figures.plural(len(mixed.layers), 'layer')} left in {mixed.precision} to keep the drop within"
        f" {limit} {on}: {ends}; with all in INT8, at {_end(mixed.all_int8.high)}."
    )


def reason(layer: FloatLayer) -> str:
    """Say why a layer is in floating point, and what that costs."""
    return (
        f"alone in INT8 it leaves {figures.decibels(layer.sqnr_db)}; with it in INT8 too the interval ends"
        f" {layer.saved_points:.2f} points higher; in float it keeps {layer.macs_share:.1%} of the arithmetic"
    )


def _end(high: float | None) -> str:
    return "no number" if high is None else f"{high:.2f}"
