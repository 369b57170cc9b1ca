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
from pipeline.report.paired import pack_bits, paired_rate
from pipeline.report.sections.accuracy import Accuracy, ClassAccuracy, NegativeFlip
from pipeline.report.stats import wilson_interval
from pipeline.report.thumbnails import png_base64, shrink
from targets.base import Origin

THUMBNAILS = 24


class AccuracyTally:
    """Counts of one validation. Feed every batch to `add`, then ask for `accuracy`.

    Keeps counts, two bits an image and thumbnails of negative flips; no images and no logits.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.images = 0
        self._agreeing = 0
        self._kl_sum = 0.0
        self._noise = LogitNoise()
        self._outcomes = np.zeros((2, 2, 2), np.int64)  # [top-1 or top-5, FP32 right, INT8 right]
        self._fp32_confusion = np.zeros((classes, classes), np.int64)  # [label, prediction]
        self._int8_confusion = np.zeros((classes, classes), np.int64)
        self._worse = np.zeros(classes, np.int64)
        self._better = np.zeros(classes, np.int64)
        self._flips: list[tuple[NegativeFlip, NDArray[np.uint8]]] = []
        self._right: list[NDArray[np.bool_]] = []  # [FP32 or INT8, image] of every batch

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
        self._right.append(right)
        np.add.at(self._fp32_confusion, (labels, top[0]), 1)
        np.add.at(self._int8_confusion, (labels, top[1]), 1)
        np.add.at(self._worse, labels[right[0] & ~right[1]], 1)
        np.add.at(self._better, labels[~right[0] & right[1]], 1)
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
        fp32_right, int8_right = np.concatenate(self._right, axis=1)
        return Accuracy(
            fp32_origin=fp32_origin,
            int8_origin=int8_origin,
            top1=paired_rate(self._outcomes[0]),
            top5=paired_rate(self._outcomes[1]) if self.classes > 5 else None,
            agreement=self._agreeing / self.images,
            agreement_interval=wilson_interval(self._agreeing, self.images),
            kl_nats=self._kl_sum / self.images,
            sqnr_db=self._noise.sqnr_db,
            per_class=self._per_class(),
            confusion=self._confusion(),
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

    def _per_class(self) -> tuple[ClassAccuracy, ...]:
        return tuple(
            ClassAccuracy(
                label=k,
                images=int(self._fp32_confusion[k].sum()),
                fp32_correct=int(self._fp32_confusion[k, k]),
                int8_correct=int(self._int8_confusion[k, k]),
                worse=int(self._worse[k]),
                better=int(self._better[k]),
            )
            for k in range(self.classes)
        )

    def _confusion(self) -> tuple[tuple[int, int, int, int], ...]:
        label, prediction = np.nonzero(self._fp32_confusion + self._int8_confusion)
        cells = self._fp32_confusion[label, prediction], self._int8_confusion[label, prediction]
        return tuple(zip(label.tolist(), prediction.tolist(), *(c.tolist() for c in cells), strict=True))

    def _negative_flips(self) -> tuple[NegativeFlip, ...]:
        worst_first = sorted(self._flips, key=lambda flip: (-flip[0].fp32_margin, flip[0].name))
        return tuple(
            flip.replace(thumbnail_png=png_base64(pixels)) if place < THUMBNAILS else flip
            for place, (flip, pixels) in enumerate(worst_first)
        )
