"""FP32 against INT8 on the pixels of the same images, tallied batch by batch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ReportError
from pipeline.report.logit_distance import LogitNoise, refuse_not_finite
from pipeline.report.model.pixel_accuracy import PixelAccuracy, PixelPicture
from pipeline.report.overlap import Classes, at_size, confusion, image_iou
from pipeline.report.pixel_answers import PICTURES, Counts, PixelAnswers, most_lost, pixel_accuracy
from pipeline.report.thumbnails import png_base64, shrink
from targets.base import Origin
from targets.runtime.preprocess import VOID

LONGEST_SIDE = 128


class PixelTally:
    """Answers of one validation. Feed every batch to `add`, then ask for `answers` or `accuracy`.

    Keeps counts, a few numbers an image and the few pictures that lost most; no images and no logits.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._labelled = True
        self._size = (0, 0)
        self._noise = LogitNoise()
        self._confusions = np.zeros((2, classes, classes), np.int64)  # [FP32 or INT8, reference, said]
        self._right: list[tuple[float, float]] = []  # of an image: FP32, INT8
        self._iou: list[tuple[float, float]] = []
        self._same: list[float] = []
        self._reference: list[tuple[int, ...]] = []  # of an image: pixels of each class
        self._worst: tuple[tuple[int, PixelPicture], ...] = ()

    def add(
        self,
        fp32: NDArray[np.float32],
        int8: NDArray[np.float32],
        masks: NDArray[np.uint8] | None,
        images: NDArray[np.uint8],
        names: Sequence[str],
    ) -> None:
        """Count one batch: logits [N, classes, h, w] of both, masks [N, H, W] or none, images [N, H, W, C].

        If a mask is larger than the logits, each logit is compared with the mask's pixel at its centre.
        INT8's logits may be flattened, [N, classes * h * w]. Images without any labelled pixel are ignored.
        Raises ReportError if shapes do not fit or a logit is not finite.
        """
        int8 = self._fitting(fp32, int8, names)
        self._size = fp32.shape[2], fp32.shape[3]
        self._labelled = masks is not None
        self._noise.add(fp32, int8)
        said: Classes = np.stack([fp32.argmax(1), int8.argmax(1)])
        for i, name in enumerate(names):
            reference = said[0, i] if masks is None else at_size(masks[i], self._size).astype(np.int64)
            self._count(reference, said[:, i], images[i], name)

    def answers(self) -> PixelAnswers:
        """Return what was counted."""
        return PixelAnswers(
            labelled=self._labelled,
            size=self._size,
            right=tuple(self._right),
            iou=tuple(self._iou),
            same=tuple(self._same),
            reference=tuple(self._reference),
            confusions=(_rows(self._confusions[0]), _rows(self._confusions[1])),
            signal=tuple(self._noise.signal),
            noise=tuple(self._noise.noise),
            worst=self._worst,
        )

    def accuracy(self, fp32_origin: Origin, int8_origin: Origin) -> PixelAccuracy:
        """Return the record of everything counted. Raises ReportError if nothing was."""
        return pixel_accuracy([self.answers()], fp32_origin, int8_origin)

    def _fitting(
        self, fp32: NDArray[np.float32], int8: NDArray[np.float32], names: Sequence[str]
    ) -> NDArray[np.float32]:
        if fp32.ndim != 4 or fp32.shape[1] != self.classes or int8.size != fp32.size:
            raise ReportError(
                f"logits have shapes {fp32.shape} and {int8.shape}, but [N, {self.classes}, height, width] is"
                " expected"
            )
        refuse_not_finite(fp32, int8, names)
        return int8.reshape(fp32.shape)

    def _count(self, reference: Classes, said: Classes, image: NDArray[np.uint8], name: str) -> None:
        counted = reference != VOID
        if not counted.any():
            return
        confusions = np.stack([confusion(reference[counted], each[counted], self.classes) for each in said])
        self._confusions += confusions
        shares = [float((each[counted] == reference[counted]).mean()) for each in said]
        if shares[0] > shares[1] and self._among_the_worst(shares[0] - shares[1]):
            picture = PixelPicture(
                name=name,
                fp32=shares[0],
                int8=shares[1],
                image_png=png_base64(shrink(image, LONGEST_SIDE)),
                reference_png=png_base64(coloured(reference)),
                int8_png=png_base64(coloured(said[1])),
            )
            self._worst = most_lost([*self._worst, (len(self._right), picture)])
        self._reference.append(tuple(confusions[0].sum(1).tolist()))
        self._right.append((shares[0], shares[1]))
        self._iou.append((image_iou(confusions[0]), image_iou(confusions[1])))
        self._same.append(float((said[0] == said[1]).mean()))

    def _among_the_worst(self, loss: float) -> bool:
        if len(self._worst) < PICTURES:
            return True
        _, best = self._worst[-1]
        return loss > best.fp32 - best.int8


def _rows(counts: NDArray[np.int64]) -> Counts:
    return tuple(tuple(row) for row in counts.tolist())


def coloured(classes: Classes) -> NDArray[np.uint8]:
    """Return class numbers [h, w] as RGB, at most 128 pixels long; VOID is white."""
    hues = (np.arange(256) * 0.618034 + 0.6) % 1.0 * 180  # golden ratio: neighbours differ
    lightness = np.where(np.arange(256) % 2, 190, 120)
    wheel = np.stack([hues, lightness, np.full(256, 150)], axis=1).astype(np.uint8)
    import cv2

    palette = np.asarray(cv2.cvtColor(wheel[None], cv2.COLOR_HLS2RGB), np.uint8)[0]
    palette[0], palette[VOID] = (40, 44, 52), (255, 255, 255)
    factor = min(1.0, LONGEST_SIDE / max(classes.shape))
    height, width = (max(1, round(side * factor)) for side in classes.shape)
    small: NDArray[np.uint8] = palette[at_size(classes.astype(np.uint8), (height, width))]
    return small
