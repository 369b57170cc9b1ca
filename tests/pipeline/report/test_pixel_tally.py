"""Accuracy over pixels: against scipy's Jaccard distance, counted by the image, judged by its limit."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jaccard

from pipeline.errors import ReportError
from pipeline.report.gates import accuracy_gates
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.paired import paired_scores
from pipeline.report.pixel_tally import PixelTally
from targets.base import Origin
from targets.runtime.preprocess import VOID

K, SIDE = 4, 10


def logits(classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return logits [N, K, h, w] whose largest are at these classes."""
    return np.moveaxis(np.eye(K, dtype=np.float32)[classes], -1, 1).copy()


def tallied(
    fp32: NDArray[np.int64], int8: NDArray[np.int64], masks: NDArray[np.uint8] | None
) -> PixelAccuracy:
    tally, names = PixelTally(K), [f"{n}.png" for n in range(len(fp32))]
    images = np.zeros((len(fp32), SIDE, SIDE, 3), np.uint8)
    for part in (slice(0, 3), slice(3, None)):  # batches do not matter
        tally.add(
            logits(fp32[part]),
            logits(int8[part]),
            None if masks is None else masks[part],
            images[part],
            names[part],
        )
    return tally.accuracy(Origin.HOST, Origin.HOST)


@pytest.fixture
def said() -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Masks with unlabelled pixels; FP32 is wrong in a tenth of the pixels, INT8 in a few more."""
    random = np.random.default_rng(0)
    truth = random.integers(0, K, (8, SIDE, SIDE))
    fp32 = np.where(random.random(truth.shape) < 0.1, random.integers(0, K, truth.shape), truth)
    int8 = np.where(random.random(truth.shape) < 0.05, random.integers(0, K, truth.shape), fp32)
    masks = np.where(random.random(truth.shape) < 0.2, VOID, truth).astype(np.uint8)
    return masks, fp32, int8


def test_iou_is_one_minus_the_jaccard_distance(
    said: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]],
) -> None:
    masks, fp32, int8 = said
    found, counted = tallied(fp32, int8, masks), masks != VOID
    for k, one in enumerate(found.per_class):
        for network, iou in ((fp32, one.fp32_iou), (int8, one.int8_iou)):
            assert iou == pytest.approx(1 - jaccard(masks[counted] == k, network[counted] == k))
    assert found.int8_mean_iou == pytest.approx(np.mean([one.int8_iou for one in found.per_class]))
    of_images = [
        np.mean([1 - jaccard(m[m != VOID] == k, s[m != VOID] == k) for k in range(K)])
        for m, s in zip(masks, int8, strict=True)
    ]
    assert found.iou.int8 == pytest.approx(np.mean(of_images))
    shares = [(m == s)[m != VOID].mean() for m, s in zip(masks, fp32, strict=True)]
    assert found.pixels.fp32 == pytest.approx(np.mean(shares))
    assert found.agreement == pytest.approx((fp32 == int8).mean())
    assert [one.fp32 - one.int8 for one in found.worst] == sorted(
        (one.fp32 - one.int8 for one in found.worst), reverse=True
    )


def test_without_masks_the_drop_bounds_that_of_any_labels(
    said: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]],
) -> None:
    masks, fp32, int8 = said
    alone = tallied(fp32, int8, None)
    assert not alone.labelled
    assert alone.pixels.drop_points == pytest.approx(100 * (fp32 != int8).mean())
    random = np.random.default_rng(1)
    for _ in range(20):
        labels = random.integers(0, K, masks.shape).astype(np.uint8)
        assert abs(tallied(fp32, int8, labels).pixels.drop_points) <= alone.pixels.drop_points


def test_masks_larger_than_the_output_count_at_the_centres_of_its_pixels() -> None:
    classes = np.random.default_rng(2).integers(0, K, (5, SIDE, SIDE))
    masks = classes.astype(np.uint8).repeat(3, 1).repeat(3, 2)
    assert tallied(classes, classes, masks).pixels.fp32 == 1.0


def test_images_that_nobody_labelled_do_not_count(
    said: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]],
) -> None:
    masks, fp32, int8 = said
    masks[5] = VOID
    assert tallied(fp32, int8, masks).pixels.images == 7
    with pytest.raises(ReportError, match="no evaluation image has a labelled pixel"):
        tallied(fp32, int8, np.full_like(masks, VOID))


def test_a_broken_engine_is_named() -> None:
    broken = logits(np.zeros((2, SIDE, SIDE), np.int64))
    broken[1, 0, 0, 0] = np.nan
    with pytest.raises(ReportError, match=r"INT8 logits are not finite for 1 of 2 images, first b\.png"):
        PixelTally(K).add(
            np.zeros_like(broken), broken, None, np.zeros((2, SIDE, SIDE, 3), np.uint8), ["a.png", "b.png"]
        )


@pytest.mark.parametrize(
    ("drop", "images", "verdict"),
    [(0.002, 2000, Verdict.PASS), (0.05, 2000, Verdict.FAIL), (0.002, 100, Verdict.INCONCLUSIVE)],
)
def test_the_limit_holds_for_the_mean_over_images(drop: float, images: int, verdict: Verdict) -> None:
    random = np.random.default_rng(3)
    fp32 = random.uniform(0.8, 0.95, images)
    score = paired_scores(fp32, fp32 - random.normal(drop, 0.01, images))
    nothing = np.zeros((4, SIDE, SIDE), np.int64)
    halves = nothing + (np.arange(SIDE) % 2)
    accuracy = tallied(halves, halves, halves.astype(np.uint8))
    _, *gates = accuracy_gates(accuracy.replace(pixels=score, iou=score), 1.0, None, Origin.HOST)
    assert [(gate.name, gate.verdict) for gate in gates] == [("max_drop", verdict), ("max_drop_iou", verdict)]
    wanted = gates[0].images_to_decide
    assert (wanted is None) is (verdict is not Verdict.INCONCLUSIVE)
    if wanted is not None:  # so many images then do decide
        more = random.uniform(0.8, 0.95, 2 * wanted)
        interval = paired_scores(more, more - random.normal(drop, 0.01, len(more))).drop_interval
        assert interval.high is not None
        assert interval.high < 1.0
    with pytest.raises(ReportError, match="min_ratio limits top-1"):
        list(accuracy_gates(accuracy, None, 0.99, Origin.HOST))
