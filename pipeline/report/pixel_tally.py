"""FP32 against INT8 on the pixels of the same images, tallied batch by batch."""

import heapq
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ReportError
from pipeline.report.logit_distance import LogitNoise, refuse_not_finite
from pipeline.report.model.paired_figures import PairedScore
from pipeline.report.model.pixel_accuracy import PixelAccuracy, PixelClass, PixelPicture
from pipeline.report.paired import paired_scores
from pipeline.report.thumbnails import png_base64, shrink
from targets.base import Origin
from targets.runtime.preprocess import VOID

PICTURES = 12
LONGEST_SIDE = 128

Classes = NDArray[np.int64]
Confusion = NDArray[np.int64]
Loss = tuple[float, int, PixelPicture]


class PixelTally:
    """Counts of one validation. Feed every batch to `add`, then ask for `accuracy`.

    Keeps counts, four numbers an image and the few pictures that lost most; no images and no logits.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.images = 0
        self._labelled = True
        self._size = (0, 0)
        self._noise = LogitNoise()
        self._confusions = np.zeros((2, classes, classes), np.int64)  # [FP32 or INT8, reference, said]
        self._right: list[tuple[float, float]] = []  # of an image: FP32, INT8
        self._iou: list[tuple[float, float]] = []
        self._same: list[float] = []
        self._there: list[NDArray[np.int64]] = []  # of an image: pixels of each class
        self._worst: list[Loss] = []

    def add(
        self,
        fp32: NDArray[np.float32],
        int8: NDArray[np.float32],
        masks: NDArray[np.uint8] | None,
        images: NDArray[np.uint8],
        names: Sequence[str],
    ) -> None:
        """Count one batch: logits [N, classes, h, w] of both, masks [N, H, W] or none, images [N, H, W, C].

        Of a mask that is larger than the logits, the pixels in the middle of theirs count. INT8's logits may
        come as rows. Images without any labelled pixel are ignored. Raises ReportError if shapes do not
        fit or a logit is not finite.
        """
        int8 = self._fitting(fp32, int8, names)
        self._size = fp32.shape[2], fp32.shape[3]
        self._labelled = masks is not None
        self._noise.add(fp32, int8)
        said: Classes = np.stack([fp32.argmax(1), int8.argmax(1)])
        for i, name in enumerate(names):
            reference = said[0, i] if masks is None else at_size(masks[i], self._size).astype(np.int64)
            self._count(reference, said[:, i], images[i], name)

    def accuracy(self, fp32_origin: Origin, int8_origin: Origin) -> PixelAccuracy:
        """Return the record of everything counted. Raises ReportError if nothing was."""
        if not self.images:
            raise ReportError("no evaluation image has a labelled pixel: accuracy needs at least one")
        right, iou = np.array(self._right), np.array(self._iou)
        per_class = tuple(self._per_class())
        means = [
            float(np.mean([getattr(one, f"{kind}_iou") for one in per_class if one.pixels]))
            for kind in ("fp32", "int8")
        ]
        pixels, overlap = (paired_scores(each[:, 0], each[:, 1]) for each in (right, iou))
        above_guess = self._above_guess(right[:, 0], iou[:, 0])
        if not self._labelled:  # FP32 agrees with itself: INT8 cannot be closer
            pixels, overlap = _at_least_zero(pixels), _at_least_zero(overlap)
        return PixelAccuracy(
            fp32_origin=fp32_origin,
            int8_origin=int8_origin,
            labelled=self._labelled,
            size=self._size,
            pixels=pixels,
            iou=overlap,
            fp32_mean_iou=means[0],
            int8_mean_iou=means[1],
            agreement=float(np.mean(self._same)),
            sqnr_db=self._noise.sqnr_db,
            per_class=per_class,
            worst=tuple(picture for *_, picture in sorted(self._worst, key=lambda one: (-one[0], -one[1]))),
            int8_scores=tuple(right[:, 1].tolist()),
            pixels_above_guess=above_guess[0],
            iou_above_guess=above_guess[1],
        )

    def _above_guess(
        self, right: NDArray[np.float64], iou: NDArray[np.float64]
    ) -> tuple[PairedScore | None, PairedScore | None]:
        """Compare FP32 with always answering the class that most pixels have, image by image."""
        if not self._labelled:
            return None, None
        there = np.stack(self._there)  # [image, class]
        shares = there[:, there.sum(0).argmax()] / there.sum(1)
        return paired_scores(shares, right), paired_scores(shares / (there > 0).sum(1), iou)

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
        self._there.append(confusions[0].sum(1))
        self._right.append((shares[0], shares[1]))
        self._iou.append((image_iou(confusions[0]), image_iou(confusions[1])))
        self._same.append(float((said[0] == said[1]).mean()))
        loss = shares[0] - shares[1]
        if loss > 0 and (len(self._worst) < PICTURES or loss > self._worst[0][0]):
            picture = PixelPicture(
                name=name,
                fp32=shares[0],
                int8=shares[1],
                image_png=png_base64(shrink(image, LONGEST_SIDE)),
                reference_png=png_base64(coloured(reference)),
                int8_png=png_base64(coloured(said[1])),
            )
            heapq.heappush(self._worst, (loss, -self.images, picture))
            if len(self._worst) > PICTURES:
                heapq.heappop(self._worst)
        self.images += 1

    def _per_class(self) -> list[PixelClass]:
        ious = [_iou(each) for each in self._confusions]
        pixels = self._confusions[0].sum(1)
        return [
            PixelClass(
                label=k,
                pixels=int(pixels[k]),
                fp32_iou=None if np.isnan(ious[0][k]) else float(ious[0][k]),
                int8_iou=None if np.isnan(ious[1][k]) else float(ious[1][k]),
            )
            for k in range(self.classes)
        ]


def _at_least_zero(score: PairedScore) -> PairedScore:
    low = max(0.0, score.drop_interval.low)
    return score.replace(drop_interval=score.drop_interval.replace(low=low))


def coloured(classes: Classes) -> NDArray[np.uint8]:
    """Return class numbers [h, w] as RGB, at most 128 pixels long; VOID is white."""
    hues = (np.arange(256) * 0.618034 + 0.6) % 1.0 * 180  # golden ratio: neighbours differ
    lightness = np.where(np.arange(256) % 2, 190, 120)
    wheel = np.stack([hues, lightness, np.full(256, 150)], axis=1).astype(np.uint8)
    palette = np.asarray(cv2.cvtColor(wheel[None], cv2.COLOR_HLS2RGB), np.uint8)[0]
    palette[0], palette[VOID] = (40, 44, 52), (255, 255, 255)
    factor = min(1.0, LONGEST_SIDE / max(classes.shape))
    height, width = (max(1, round(side * factor)) for side in classes.shape)
    small: NDArray[np.uint8] = palette[at_size(classes.astype(np.uint8), (height, width))]
    return small


def at_size(mask: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the pixels of a mask [H, W] that hold the centres of a grid of another size."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(size, mask.shape, strict=True)
    )
    found: NDArray[np.uint8] = mask[rows[:, None], columns]
    return found


def confusion(reference: Classes, said: Classes, classes: int) -> Confusion:
    """Count each class that is said for each of the reference, [reference, said]."""
    return np.bincount(reference * classes + said, minlength=classes**2).reshape(classes, classes)


def image_iou(counts: Confusion) -> float:
    """Return the mean IoU of the classes that the reference has in an image; NaN if it has none."""
    there = counts.sum(1) > 0
    return float(_iou(counts)[there].mean()) if there.any() else float("nan")


def _iou(counts: Confusion) -> NDArray[np.float64]:
    """Return intersection over union of each class [K] from counts [reference, said]; NaN without any."""
    both = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - both
    iou: NDArray[np.float64] = np.divide(both, union, out=np.full(len(both), np.nan), where=union > 0)
    return iou
