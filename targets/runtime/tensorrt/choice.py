"""Chooses among the engines of a device, from what was counted and timed: the same rules there and here."""

from __future__ import annotations

from typing import Any, Mapping

from ..paired_difference import difference_bounds
from .engine import FP16, EngineProblem


def drop_of(discordant: tuple[float, float], images: int, level: float) -> dict[str, float]:
    """Return the loss in points with its interval; `discordant` is as `_discordant` returns it."""
    worse, better = discordant
    low, high = difference_bounds(worse, better, images, level)
    value = (worse - better) / images
    points = {name: 100 * share for name, share in (("value", value), ("low", low), ("high", high))}
    return {**points, "worse": worse, "better": better}


def choose(
    accuracy: Mapping[str, Mapping[str, Any]],
    drops: Mapping[str, Mapping[str, Any]],
    latency: Mapping[str, Mapping[str, Any]],
    max_drop: float,
    doubt: str = "",
) -> tuple[str, str]:
    """Return the fastest candidate whose accuracy passes, and why; FP16 where none is shown to be better.

    `drops` are the losses of top-1 in points from FP16 to each other candidate on the same images: estimates
    and intervals. Where FP16 is in doubt they are from the validated logits, and nobody has to be faster than
    it. Raises EngineProblem if then nothing passes.
    """
    fp16 = latency[FP16]["end_to_end"]["p50_ms"]
    objections = {
        name: _not_finite(name, accuracy[name])
        or _objection(name, accuracy[name]["images"], drop, max_drop)
        or ("" if doubt else _slow(name, latency[name], fp16))
        for name, drop in drops.items()
    }
    passing = [name for name, objection in objections.items() if not objection]
    if not passing and doubt:
        raise EngineProblem(
            f"no engine is chosen: {'; '.join([doubt, *objections.values()])}. "
            "Is it the bundle for this device?"
        )
    if not passing:
        return FP16, "; ".join(objections.values())
    best = min(passing, key=lambda name: float(latency[name]["end_to_end"]["p50_ms"]["value"]))
    why = "p50 {:.3f} ms, FP16 {:.3f} ms; top-1 drop {:.2f} {} points".format(
        latency[best]["end_to_end"]["p50_ms"]["value"],
        fp16["value"],
        drops[best]["value"],
        _interval(drops[best]),
    )
    return best, f"{why}; {doubt}" if doubt else why


def doubt_of_fp16(accuracy: Mapping[str, Any], drop: Mapping[str, float], max_drop: float) -> str:
    """Return why FP16, which others are compared with, is not to be used; empty if nothing speaks against it.

    `drop` is its loss against the validated logits of INT8.
    """
    broken = _not_finite(FP16, accuracy)
    if broken or drop["low"] <= max_drop:
        return broken
    found = f"{drop['value']:.2f} {_interval(drop)}"
    return f"fp16 loses {found} points of top-1 against the logits that were validated"


def _not_finite(name: str, accuracy: Mapping[str, Any]) -> str:
    broken, images = accuracy["not_finite"], accuracy["images"]
    return f"{name} gives logits that are not numbers for {broken} of {images} images" if broken else ""


def _objection(name: str, images: int, drop: Mapping[str, Any], max_drop: float) -> str:
    """Return why a candidate's accuracy does not pass; empty if it does."""
    found = f"{drop['value']:.2f} {_interval(drop)}"
    if drop["low"] > max_drop:
        return f"{name} loses {found} points of top-1, {max_drop:.2f} are allowed"
    if drop["high"] > max_drop:
        return (
            f"{images} images do not show that {name} loses at most {max_drop:.2f} points of top-1: it loses "
            f"{found}. Allow more with --max-drop, or let `edgec build --device` "
            "validate this device on all images"
        )
    return ""


def _slow(name: str, latency: Mapping[str, Any], fp16: Mapping[str, Any]) -> str:
    """Return why a candidate is not shown to be faster than FP16; empty if it is."""
    own = latency["end_to_end"]["p50_ms"]
    if own["high"] is None or fp16["low"] <= own["high"]:
        return "{} is not shown to be faster: p50 {:.3f} ms, FP16 {:.3f} ms".format(
            name, own["value"], fp16["value"]
        )
    return ""


def _interval(drop: Mapping[str, Any]) -> str:
    return "[{:.2f}, {:.2f}]".format(drop["low"], drop["high"])
