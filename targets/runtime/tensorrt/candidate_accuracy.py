"""How often the engines of a device are right, on the same images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Mapping, NamedTuple

import numpy as np

from ..paired_difference import LEVEL
from .choice import doubt_of_fp16, drop_of
from .engine import FP16
from .runner import open_plan

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .cuda import Cuda

Say = Callable[[str], None]


class Evaluation(NamedTuple):
    """Images [N, H, W, C], their labels [N] or [N, h, w], and INT8's logits as they were validated."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    validated: NDArray[np.float32]


def read_evaluation(file: Path) -> Evaluation:
    """Read evaluation.npz."""
    with np.load(str(file), allow_pickle=False) as data:
        return Evaluation(data["images"], data["labels"], data["int8"])


def compare(
    trt: Any,
    cuda: Cuda,
    plans: Mapping[str, Path],
    evaluation: Evaluation,
    max_drop: float,
    say: Say,
) -> dict[str, Any]:
    """Return how often each candidate is right, and what it loses against FP16.

    Where FP16 itself is in doubt by the validated logits, the others are compared with them instead.
    """
    images, labels, expected = evaluation
    accuracy, right = {}, {}
    for name, plan in plans.items():
        with open_plan(plan, trt, cuda) as runner:
            logits = runner.infer(images).reshape(expected.shape)
        accuracy[name] = found = _accuracy(logits, labels, expected)
        right[name] = _right(logits, labels)
        say(f"{name}: top-1 {100 * found['top1']:.2f} % of {found['images']} images")
    rivals = [name for name in plans if name != FP16]
    level = 1 - (1 - LEVEL) / len(rivals)  # several are tried, and each shall pass by luck as rarely as one
    validated = _right(expected, labels)
    fp16_drop = drop_of(_discordant(validated, right[FP16]), len(labels), LEVEL)
    doubt = doubt_of_fp16(accuracy[FP16], fp16_drop, max_drop)
    if doubt:
        say(f"{doubt}: others are compared with the validated logits")
    before = validated if doubt else right[FP16]
    drops = {name: drop_of(_discordant(before, right[name]), len(labels), level) for name in rivals}
    return {"accuracy": accuracy, "drop_points": drops, "fp16_drop": fp16_drop}


def agreement(
    trt: Any, cuda: Cuda, plans: Mapping[str, Path], images: NDArray[np.uint8]
) -> dict[str, dict[str, float]]:
    """Return for how many of `images` each candidate names the class that FP16 names."""
    classes = {}
    for name, plan in plans.items():
        with open_plan(plan, trt, cuda) as runner:
            logits = runner.infer(images)
        classes[name] = np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), -1)
    same = {name: float(np.mean((found == classes[FP16]) & (found >= 0))) for name, found in classes.items()}
    return {name: {"images": len(images), "same_class": share} for name, share in same.items()}


def _right(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return what is right [N], or [N, h, w]. Logits that are not numbers name no class."""
    named: NDArray[np.bool_] = (logits.argmax(axis=1) == labels) & np.isfinite(logits).all(axis=1)
    return named


def _discordant(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, float]:
    """Return for how many images only `before` is right, and for how many only `after`."""
    return _images(before & ~after), _images(after & ~before)


def _images(marks: NDArray[np.bool_]) -> float:
    """Return how many images are marked; of one whose pixels are marked [N, h, w], their share counts."""
    return float(marks.reshape(len(marks), -1).mean(axis=1).sum())


def _accuracy(
    logits: NDArray[np.float32], labels: NDArray[np.int64], expected: NDArray[np.float32]
) -> dict[str, Any]:
    finite = np.isfinite(logits).reshape(len(logits), -1).min(axis=1)
    return {
        "images": len(labels),
        "top1": float(np.mean(_right(logits, labels))),
        "agreement": float(np.mean(_right(logits, expected.argmax(axis=1)))),
        "largest_difference": float(np.abs(logits - expected)[finite].max()) if finite.any() else None,
        "not_finite": len(finite) - int(finite.sum()),
    }
