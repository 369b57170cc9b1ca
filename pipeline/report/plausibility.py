"""Judges whether FP32 does better than guessing. A network that guesses has no accuracy that INT8 could lose.

Two guesses need no network: any class at random, and always the class that most evaluation images have.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.report import figures
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.gate import Gate
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.paired_figures import PairedScore
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.stats import (
    difference_interval,
    images_to_decide,
    mean_score,
    wilson_interval,
    wilson_score,
)
from targets.base import Origin
from targets.runtime.paired_difference import difference_score

NAME = "plausible"
USEFUL = 0.25
"""The share of what a guess gets wrong that a network has to get right to be of use to anybody.

A network that is shown to stay below is meaningless. One that may be above, and is not shown to be better
than the guess, was seen on too few images.
"""
SEVERITY = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.MEANINGLESS)


@dataclass(frozen=True)
class Gain:
    """What FP32 gets right beyond a guess, in shares of 1."""

    guess: str
    guessed: float
    """What the guess gets right."""
    interval: Interval
    """Of what FP32 gets right more often."""
    found: float
    images: int
    score: Callable[[float, float], float]
    """score(gain, factor): standard errors of FP32 above this gain, with `factor` times the images."""

    @property
    def useful(self) -> float:
        """Return the gain over the guess from which on a network is of use."""
        return USEFUL * (1 - self.guessed)

    @property
    def verdict(self) -> Verdict:
        """Judge whether FP32 is better than the guess. Nothing beats a guess that is always right."""
        high = self.interval.high
        if self.guessed == 1 or (high is not None and self.interval.low <= 0 and high < self.useful):
            return Verdict.MEANINGLESS
        return Verdict.PASS if self.interval.low > 0 else Verdict.INCONCLUSIVE

    def images_to_decide(self) -> int | None:
        """Return how many images would show that FP32 is better than the guess, or that it is of no use."""
        gain = self.found - self.guessed
        limits = [limit for limit, apart in ((0.0, gain > 0), (self.useful, gain < self.useful)) if apart]
        needed = [
            images_to_decide(lambda factor, limit=limit: self.score(limit, factor), self.images)  # type: ignore[misc]
            for limit in limits
        ]
        return min((images for images in needed if images is not None), default=None)

    def explained(self, what: str) -> str:
        """Say what FP32 and the guess get right, and by how much they differ."""
        percent, interval = figures.percent, figures.interval(self.interval.scaled(100))
        if self.guessed == 1:
            return (
                f"FP32 gets {percent(self.found)} of {what} right, and {self.guess} gets all: this evaluation"
                " set has one class, so no number of such images shows that FP32 is better than guessing"
            )
        place = {
            Verdict.PASS: "lies above 0",
            Verdict.MEANINGLESS: f"is not above 0, and below {100 * self.useful:.2f}, the least of any use",
            Verdict.INCONCLUSIVE: "contains 0",
        }.get(self.verdict)
        return (
            f"FP32 gets {percent(self.found)} of {what} right, {self.guess} {percent(self.guessed)}; the"
            f" {100 * self.interval.level:g} % interval of the gain {interval} points {place}"
        )


def plausibility_gate(accuracy: Accuracy | PixelAccuracy) -> Gate | None:
    """Judge that FP32 does better than guessing; None where nothing says what is right.

    A network is meaningless whose gain over a guess is not shown to be above zero and is shown to be below
    `USEFUL` of what the guess gets wrong; inconclusive between the two. Of images both guesses have to be
    beaten. Of pixels it is enough to beat the most frequent class in right pixels or in mean IoU: a sound
    network for rare classes does so in the latter alone.
    """
    if isinstance(accuracy, Accuracy):
        counts = np.array([(one.images, one.fp32_correct) for one in accuracy.per_class])
        return judge_answers(counts[:, 0], counts[:, 1], accuracy.fp32_origin)
    if not accuracy.labelled:
        said = [one.label for one in accuracy.per_class if one.pixels]
        return _one_class_said(accuracy, said[0]) if len(said) == 1 else None
    if accuracy.pixels_above_guess is None or accuracy.iou_above_guess is None:
        return None  # a report of an earlier edgec
    return judge_pixels(accuracy.pixels_above_guess, accuracy.iou_above_guess, accuracy.fp32_origin)


def judged_to_know(accuracy: Accuracy | PixelAccuracy) -> bool:
    """Whether FP32 is shown to do better than guessing, or nothing says what is right."""
    gate = plausibility_gate(accuracy)
    return gate is None or gate.verdict is Verdict.PASS


def judge_answers(images: NDArray[np.int64], right: NDArray[np.int64], origin: Origin) -> Gate:
    """Judge a network by the images of each class [K], and how many of them it is right on [K]."""
    gain = max(gains_over_guesses(images, right), key=lambda one: SEVERITY.index(one.verdict))
    return _gate(gain, figures.plural(gain.images, "image"), origin)


def judge_pixels(right: PairedScore, iou: PairedScore, origin: Origin) -> Gate:
    """Judge a network by its share of right pixels and its IoU, each compared with a guess.

    The network is in INT8's fields, the guess in FP32's.
    """
    gains = [(what, _gain_of_pixels(score)) for what, score in (("pixels", right), ("IoU", iou))]
    what, gain = min(gains, key=lambda one: SEVERITY.index(one[1].verdict))
    return _gate(gain, what, origin)


def compared(plausible: Gate | None, gates: Iterable[Gate]) -> Iterator[Gate]:
    """Yield the gates that compare INT8 with FP32. They are meaningless if FP32 is."""
    for gate in gates:
        if plausible is None or plausible.verdict is not Verdict.MEANINGLESS:
            yield gate
        else:
            yield gate.replace(
                verdict=Verdict.MEANINGLESS,
                message=f"FP32 is no better than guessing, so this says nothing: {gate.message}",
                images_to_decide=None,
            )


def gains_over_guesses(images: NDArray[np.int64], right: NDArray[np.int64]) -> tuple[Gain, Gain]:
    """Return the gains over the most frequent class and over a random one, from counts of each class [K]."""
    total, correct, classes = int(images.sum()), int(right.sum()), len(images)
    chance = 1 / classes
    of_rate = wilson_interval(correct, total)
    assert of_rate.high is not None  # noqa: S101 - Wilson's interval is bounded
    over_chance = Gain(
        guess=f"choosing one of {classes} classes at random",
        guessed=chance,
        interval=Interval(low=of_rate.low - chance, high=of_rate.high - chance, level=of_rate.level),
        found=correct / total,
        images=total,
        score=lambda gain, factor: wilson_score(correct * factor, total * factor, chance + gain),
    )
    most = int(images.argmax())
    lost, won = int(images[most] - right[most]), correct - int(right[most])
    over_one_class = Gain(
        guess="always answering the most frequent class",
        guessed=int(images[most]) / total,
        interval=difference_interval(won, lost, total),
        found=correct / total,
        images=total,
        score=lambda gain, factor: difference_score(won * factor, lost * factor, total * factor, gain),
    )
    return over_one_class, over_chance


def _gain_of_pixels(above: PairedScore) -> Gain:
    low, high = -above.drop_interval.scaled(0.01).low, above.drop_interval.scaled(0.01).high
    return Gain(
        guess="always answering the most frequent class",
        guessed=above.fp32,
        interval=Interval(low=-1.0 if high is None else -high, high=low, level=above.drop_interval.level),
        found=above.int8,
        images=above.images,
        score=lambda gain, factor: (
            -mean_score(above.drop_points, above.change_sd, above.images * factor, -100 * gain)
        ),
    )


def _gate(gain: Gain, what: str, origin: Origin) -> Gate:
    message, images, verdict = gain.explained(what), None, gain.verdict
    if verdict is Verdict.INCONCLUSIVE:
        images = gain.images_to_decide()
        message += (
            f"; about {images:,} images would decide (80 % chance, at the rates seen)"
            if images
            else "; no number of images would decide"
        )
    return Gate(
        name=NAME,
        claim=f"FP32 does better than {gain.guess}",
        limit=0.0,
        value=100 * (gain.found - gain.guessed),
        interval=gain.interval.scaled(100),
        unit="points",
        origin=origin,
        verdict=verdict,
        message=message,
        images_to_decide=images,
    )


def _one_class_said(accuracy: PixelAccuracy, label: int) -> Gate:
    return Gate(
        name=NAME,
        claim="FP32 gives more than one class",
        limit=1,
        value=1,
        interval=None,
        unit="classes",
        origin=accuracy.fp32_origin,
        verdict=Verdict.MEANINGLESS,
        message=f"FP32 says class {label} of every pixel of every image, and INT8 is compared with that",
    )
