"""Describes the layers that got more than 8 bits to keep the drop within its limit."""

from pipeline.report import figures
from pipeline.report.model.float_layers import MixedPrecision, RaisedLayer


def conclusion(mixed: MixedPrecision) -> str:
    """Say in one sentence which layers keep the drop within the limit on the tuning images."""
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
        f"{_counts(mixed)} to keep the drop within"
        f" {limit} {on}: {ends}; with all in INT8, at {_end(mixed.all_int8.high)}."
    )


def _counts(mixed: MixedPrecision) -> str:
    wide = sum(layer.wide for layer in mixed.layers)
    in_float = len(mixed.layers) - wide
    parts = [f"{figures.plural(in_float, 'layer')} left in {mixed.precision}"] if in_float else []
    parts += [f"{figures.plural(wide, 'layer')} given 16-bit inputs"] if wide else []
    return " and ".join(parts)


def computes_in(layer: RaisedLayer, mixed: MixedPrecision) -> str:
    """Say what a layer has in place of 8 bits."""
    return "16-bit inputs" if layer.wide else mixed.precision


def reason(layer: RaisedLayer, mixed: MixedPrecision) -> str:
    """Say what a layer has in place of 8 bits, why, and what that costs."""
    wide = ""
    if layer.wide_sqnr_db is not None:
        wide = f", with 16-bit inputs {figures.decibels(layer.wide_sqnr_db)}"
    cost = f"it has {layer.macs_share:.1%} of the arithmetic"
    if layer.added_time is not None:
        cost += f" and adds an estimated {layer.added_time:.1%} to the network's time"
    return (
        f"{computes_in(layer, mixed)}: alone in INT8 it leaves {figures.decibels(layer.sqnr_db)}{wide}; with"
        f" it in INT8 too the interval ends {layer.saved_points:.2f} points higher; {cost}"
    )


def _end(high: float | None) -> str:
    return "no number" if high is None else f"{high:.2f}"
