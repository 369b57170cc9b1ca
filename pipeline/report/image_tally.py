"""FP32 against INT8 on the same labelled images, tallied batch by batch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ReportError
from pipeline.report.logit_distance import (
    LogitNoise,
    kl_divergence,
    label_rank,
    log_softmax,
    refuse_not_finite,
)
from pipeline.report.model.image_accuracy import Accuracy, ClassAccuracy, NegativeFlip
from pipeline.report.paired import pack_bits, paired_rate
from pipeline.report.stats import wilson_interval
from pipeline.report.thumbnails import png_base64, shrink
from targets.base import Origin

THUMBNAILS = 24


class AccuracyTally:
    """Counts of one validation. Feed every batch to `add`, then ask for `accuracy`.

    Keeps counts, three classes an image and thumbnails of negative flips; no images, no logits and nothing
    that grows with the square of the classes.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.images = 0
        self._agreeing = 0
        self._kl_sum = 0.0
        self._noise = LogitNoise()
        self._outcomes = np.zeros((2, 2, 2), np.int64)  # [top-1 or top-5, FP32 right, INT8 right]
        self._answers: list[NDArray[np.int64]] = []  # [label, FP32's class, INT8's; image] of every batch
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
        right = top == labels
        self._answers.append(np.stack([labels, *top]))
        ranks = label_rank(fp32, labels), label_rank(int8, labels)
        for i, k in enumerate((1, 5)):
            np.add.at(self._outcomes[i], ((ranks[0] < k).astype(int), (ranks[1] < k).astype(int)), 1)
        self.images += len(labels)
        self._agreeing += int((top[0] == top[1]).sum())
        self._kl_sum += float(kl_divergence(fp32, int8).sum())
        self._noise.add(fp32, int8)
        probability = np.exp(log_softmax(fp32))
        for i in np.flatnonzero(right[0] & ~right[1]).tolist():
            flip = NegativeFlip(
                name=names[i],
                label=int(labels[i]),
                int8_prediction=int(top[1, i]),
                fp32_margin=float(probability[i, labels[i]] - probability[i, top[1, i]]),
            )
            self._flips.append((flip, shrink(images[i])))

    def accuracy(self, fp32_origin: Origin, int8_origin: Origin) -> Accuracy:
        """Return the record of everything counted. Raises ReportError if nothing was."""
        if not self.images:
            raise ReportError("no evaluation image was counted: accuracy needs at least one")
        labels, fp32, int8 = np.concatenate(self._answers, axis=1)
        fp32_right, int8_right = fp32 == labels, int8 == labels
        return Accuracy(
            fp32_origin=fp32_origin,
            int8_origin=int8_origin,
            top1=paired_rate(self._outcomes[0]),
            top5=paired_rate(self._outcomes[1]) if self.classes > 5 else None,
            agreement=self._agreeing / self.images,
            agreement_interval=wilson_interval(self._agreeing, self.images),
            kl_nats=self._kl_sum / self.images,
            sqnr_db=self._noise.sqnr_db,
            per_class=self._per_class(labels, fp32_right, int8_right),
            confusion=self._confusion(labels, fp32, int8),
            negative_flips=self._negative_flips(),
            fp32_right=pack_bits(fp32_right),
            int8_right=pack_bits(int8_right),
        )

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

    def _per_class(
        self, labels: NDArray[np.int64], fp32: NDArray[np.bool_], int8: NDArray[np.bool_]
    ) -> tuple[ClassAccuracy, ...]:
        counts = [
            np.bincount(labels[chosen], minlength=self.classes).tolist()
            for chosen in (np.ones_like(fp32), fp32, int8, fp32 & ~int8, ~fp32 & int8)
        ]
        return tuple(
            ClassAccuracy(label=k, images=images, fp32_correct=a, int8_correct=b, worse=worse, better=better)
            for k, (images, a, b, worse, better) in enumerate(zip(*counts, strict=True))
        )

    def _confusion(
        self, labels: NDArray[np.int64], fp32: NDArray[np.int64], int8: NDArray[np.int64]
    ) -> tuple[tuple[int, int, int, int], ...]:
        """Return label, class said, and how often by FP32 and by INT8, for the pairs that occur."""
        cells, place = np.unique(
            np.stack([labels, labels]) * self.classes + [fp32, int8], return_inverse=True
        )
        of_fp32, of_int8 = (np.bincount(p, minlength=len(cells)) for p in place.reshape(2, -1))
        columns = (*np.divmod(cells, self.classes), of_fp32, of_int8)
        return tuple(zip(*(column.tolist() for column in columns), strict=True))

    def _negative_flips(self) -> tuple[NegativeFlip, ...]:
        worst_first = sorted(self._flips, key=lambda flip: (-flip[0].fp32_margin, flip[0].name))
        return tuple(
            flip.replace(thumbnail_png=png_base64(pixels)) if place < THUMBNAILS else flip
            for place, (flip, pixels) in enumerate(worst_first)
        )
