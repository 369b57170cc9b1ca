"""FP32 against INT8 under camera corruptions: does INT8 lose more, and is that more than noise?

An image's change is how much more INT8 lost on it than FP32 did when it was corrupted:
(FP32 right - INT8 right) corrupted, minus the same clean, in -2 to 2. Images are independent of each other,
the corruptions of one image are not; so what covers several corruptions is first summed for each image.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ReportError
from pipeline.report.model.corrupted_accuracy import CorruptedAccuracy, ExtraLoss, Robustness
from pipeline.report.paired import paired_images
from pipeline.report.record import Record
from pipeline.report.stats import holm, mean_interval, sign_flip_exact
from targets.base import Origin
from targets.runtime.paired_difference import LEVEL

Condition = tuple[str, int]
"""A corruption and its severity."""


class CorruptedAnswers(Record):
    """Which images are right, clean and under each condition: one entry an image, in evaluation order.

    An entry has a letter for each condition, the clean image first: 1 where the answer is right, 0 where not.
    """

    conditions: tuple[Condition, ...]
    fp32_right: tuple[str, ...]
    int8_right: tuple[str, ...]


class RobustnessTally:
    """Which images are right, under which corruption. Feed every batch to `add`, then ask for `answers`.

    Keeps two bits an image and condition; no images and no logits.
    """

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self.conditions = tuple(conditions)
        self._right: dict[Condition | None, list[NDArray[np.bool_]]] = {
            condition: [] for condition in (None, *conditions)
        }

    def add(
        self,
        condition: Condition | None,
        fp32: NDArray[np.float32],
        int8: NDArray[np.float32],
        labels: NDArray[np.int64],
    ) -> None:
        """Count a batch under a condition, None for clean: logits [N, classes] of both, labels [N].

        Batches come in the same order under every condition. Raises ReportError if a logit is not finite.
        """
        for what, logits in (("FP32", fp32), ("INT8", int8)):
            if not np.isfinite(logits).all():
                where = "clean images" if condition is None else f"{condition[0]}, severity {condition[1]}"
                raise ReportError(f"{what} logits are not finite on {where}: the engine is broken")
        self._right[condition].append(np.stack([fp32.argmax(1), int8.argmax(1)]) == labels)

    def answers(self) -> CorruptedAnswers:
        """Return the record of everything counted."""
        nothing = np.zeros((2, 0), np.bool_)
        right = np.stack([np.concatenate([nothing, *found], axis=1) for found in self._right.values()])
        fp32, int8 = (
            tuple("".join("01"[one] for one in image) for image in right[:, i].T.tolist()) for i in (0, 1)
        )
        return CorruptedAnswers(conditions=self.conditions, fp32_right=fp32, int8_right=int8)


def robustness(
    parts: Sequence[CorruptedAnswers],
    fp32_origin: Origin,
    int8_origin: Origin,
    parameters: str,
    seed: int,
    images_digest: str,
) -> Robustness:
    """Return the record of all parts, which are in evaluation order and have the same conditions.

    Sums are of integers, so no bit depends on how the images were divided. Raises ReportError without an
    image.
    """
    conditions = parts[0].conditions
    counted = np.concatenate([_bits(part) for part in _counted(parts)], axis=2)
    right: dict[Condition | None, NDArray[np.bool_]] = dict(zip((None, *conditions), counted, strict=True))
    clean = right.pop(None).astype(np.int64)
    lost = {condition: clean - found for condition, found in right.items() if condition is not None}
    changes = {condition: int8 - fp32 for condition, (fp32, int8) in lost.items()}
    fp32_loss, int8_loss = (100 * np.mean([loss[i] for loss in lost.values()]) for i in (0, 1))
    names = tuple(dict.fromkeys(name for name, _ in conditions))
    together = 1 - (1 - LEVEL) / len(names)  # Bonferroni: with probability LEVEL all of them hold
    return Robustness(
        fp32_origin=fp32_origin,
        int8_origin=int8_origin,
        parameters=parameters,
        seed=seed,
        images_digest=images_digest,
        clean=paired_images(*clean.astype(bool)),
        fp32_loss_points=float(fp32_loss),
        int8_loss_points=float(int8_loss),
        extra=extra_loss(list(changes.values())),
        by_corruption=tuple(
            (name, extra_loss([changes[c] for c in conditions if c[0] == name], together)) for name in names
        ),
        corrupted=_corrupted(right, changes),
    )


def _counted(parts: Sequence[CorruptedAnswers]) -> list[CorruptedAnswers]:
    """Return the parts with images. Raises ReportError if there is none."""
    found = [part for part in parts if part.fp32_right]
    if not found:
        raise ReportError("no image was counted: robustness needs at least one")
    return found


def _bits(part: CorruptedAnswers) -> NDArray[np.bool_]:
    """Return which answers are right: [condition, FP32 or INT8, image]."""
    both = [
        [[letter == "1" for letter in image] for image in of] for of in (part.fp32_right, part.int8_right)
    ]
    return np.array(both).transpose(2, 0, 1)


def extra_loss(changes: Sequence[NDArray[np.int64]], level: float = LEVEL) -> ExtraLoss:
    """Return the mean of the changes [N] under several corruptions of the same images, with its interval."""
    summed = np.sum(changes, axis=0)
    means = summed / len(changes)
    return ExtraLoss(
        points=100 * float(means.mean()),
        interval=mean_interval(means, level).scaled(100),
        p=sign_flip_exact(summed),
    )


def _corrupted(
    right: dict[Condition | None, NDArray[np.bool_]], changes: dict[Condition, NDArray[np.int64]]
) -> tuple[CorruptedAccuracy, ...]:
    extras = {condition: extra_loss([change]) for condition, change in changes.items()}
    corrected = holm([extra.p for extra in extras.values()])
    return tuple(
        CorruptedAccuracy(
            corruption=condition[0],
            severity=condition[1],
            top1=paired_images(*right[condition]),
            extra=extra,
            holm_p=p,
        )
        for (condition, extra), p in zip(extras.items(), corrected, strict=True)
    )
