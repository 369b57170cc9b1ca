"""FP32 against INT8 on the same labelled images, tallied batch by batch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ReportError
from pipeline.report.image_answers import THUMBNAILS, ImageAnswers, image_accuracy, shown_at
from pipeline.report.logit_distance import (
    LogitNoise,
    kl_divergence,
    label_rank,
    log_softmax,
    refuse_not_finite,
)
from pipeline.report.model.image_accuracy import Accuracy, NegativeFlip
from pipeline.report.thumbnails import png_base64, shrink
from targets.base import Origin


class AccuracyTally:
    """Answers of one validation. Feed every batch to `add`, then ask for `answers` or `accuracy`.

    Keeps a few numbers an image and thumbnails of negative flips; no images, no logits and nothing that grows
    with the square of the classes.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._answers: list[NDArray[np.int64]] = []  # [label, class and rank of FP32 and INT8; image]
        self._kl_nats: list[float] = []
        self._noise = LogitNoise()
        self._flips: list[tuple[NegativeFlip, NDArray[np.uint8]]] = []

    def add(
        self,
        fp32: NDArray[np.float32],
        int8: NDArray[np.float32],
        labels: NDArray[np.int64],
        images: NDArray[np.uint8],
        names: Sequence[str],
    ) -> None:
        """Count one batch: logits [N, classes] of both, labels [N], pixels [N, H, W, C], N names.

        Raises ReportError if shapes do not fit or a logit is not finite.
        """
        self._refuse_nonsense(fp32, int8, labels, names)
        top = np.stack([fp32.argmax(1), int8.argmax(1)])
        ranks = label_rank(fp32, labels), label_rank(int8, labels)
        self._answers.append(np.stack([labels, *top, *ranks]))
        self._kl_nats += kl_divergence(fp32, int8).tolist()
        self._noise.add(fp32, int8)
        right, probability = top == labels, np.exp(log_softmax(fp32))
        for i in np.flatnonzero(right[0] & ~right[1]).tolist():
            flip = NegativeFlip(
                name=names[i],
                label=int(labels[i]),
                int8_prediction=int(top[1, i]),
                fp32_margin=float(probability[i, labels[i]] - probability[i, top[1, i]]),
            )
            self._flips.append((flip, shrink(images[i])))

    def answers(self) -> ImageAnswers:
        """Return what was said about every image."""
        columns = np.concatenate([np.zeros((5, 0), np.int64), *self._answers], axis=1).tolist()
        label, fp32_class, int8_class, fp32_rank, int8_rank = map(tuple, columns)
        return ImageAnswers(
            classes=self.classes,
            label=label,
            fp32_class=fp32_class,
            int8_class=int8_class,
            fp32_rank=fp32_rank,
            int8_rank=int8_rank,
            kl_nats=tuple(self._kl_nats),
            signal=tuple(self._noise.signal),
            noise=tuple(self._noise.noise),
            flips=self._pictured_flips(),
        )

    def _pictured_flips(self) -> tuple[NegativeFlip, ...]:
        worst_first = sorted(self._flips, key=lambda flip: shown_at(flip[0]))
        return tuple(
            flip.replace(thumbnail_png=png_base64(pixels)) if place < THUMBNAILS else flip
            for place, (flip, pixels) in enumerate(worst_first)
        )

    def accuracy(self, fp32_origin: Origin, int8_origin: Origin) -> Accuracy:
        """Return the record of everything counted. Raises ReportError if nothing was."""
        return image_accuracy([self.answers()], fp32_origin, int8_origin)

    def _refuse_nonsense(
        self,
        fp32: NDArray[np.float32],
        int8: NDArray[np.float32],
        labels: NDArray[np.int64],
        names: Sequence[str],
    ) -> None:
        wanted = (len(labels), self.classes)
        for what, logits in (("FP32", fp32), ("INT8", int8)):
            if logits.shape != wanted:
                raise ReportError(f"{what} logits have shape {logits.shape}, but {wanted} is expected")
        refuse_not_finite(fp32, int8, names)
        if len(labels) and not 0 <= labels.min() <= labels.max() < self.classes:
            raise ReportError(f"labels reach {labels.max()}, but the model has {self.classes} classes")
