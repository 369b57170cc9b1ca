import base64
import json
import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import entropy

from pipeline.errors import ReportError
from pipeline.report.image_tally import AccuracyTally
from pipeline.report.logit_distance import kl_divergence, label_rank
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.paired import paired_images, unpack_bits
from targets.base import Origin


def simulated(n: int, classes: int, noise: float, seed: int = 0) -> tuple[NDArray[np.float32], ...]:
    """Logits of a network that is mostly right and of a noisier copy of it."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    fp32 = rng.standard_normal((n, classes)).astype(np.float32)
    fp32[np.arange(n), labels] += 3
    int8 = fp32 + noise * rng.standard_normal(fp32.shape).astype(np.float32)
    return fp32, int8, labels  # type: ignore[return-value]


def tally(n: int = 2000, classes: int = 10, noise: float = 0.3, batch: int = 256, side: int = 8) -> Accuracy:
    fp32, int8, labels = simulated(n, classes, noise)
    found = AccuracyTally(classes)
    for i in range(0, n, batch):
        part = slice(i, i + batch)
        names = [f"image{k}" for k in range(i, min(i + batch, n))]
        pixels = np.full((len(names), side, side, 3), 7, np.uint8)
        found.add(fp32[part], int8[part], labels[part].astype(np.int64), pixels, names)
    return found.accuracy(Origin.HOST, Origin.EMULATOR)


def test_figures_equal_a_direct_computation() -> None:
    fp32, int8, labels = simulated(2000, 10, 0.3)
    found = tally()
    before, after = fp32.argmax(1) == labels, int8.argmax(1) == labels
    assert found.top1.fp32_correct == before.sum()
    assert found.top1.int8_correct == after.sum()
    assert (found.top1.worse, found.top1.better) == ((before & ~after).sum(), (~before & after).sum())
    assert found.top1.drop_points == pytest.approx(100 * (before.mean() - after.mean()))
    assert found.agreement == (fp32.argmax(1) == int8.argmax(1)).mean()
    assert found.kl_nats == pytest.approx(
        entropy(softmax(fp32, axis=1), softmax(int8, axis=1), axis=1).mean()
    )
    assert found.sqnr_db == pytest.approx(
        10 * np.log10((fp32**2).sum() / ((fp32 - int8) ** 2).sum()), rel=1e-4
    )
    top5 = (np.argsort(-fp32, axis=1)[:, :5] == labels[:, None]).any(axis=1)
    assert found.top5 is not None
    assert found.top5.fp32_correct == top5.sum()
    assert len(found.negative_flips) == found.top1.worse


def test_the_bits_of_every_image_give_the_same_counts() -> None:
    found = tally(n=1001)
    fp32, int8 = (unpack_bits(bits, 1001) for bits in (found.fp32_right, found.int8_right))
    assert paired_images(fp32, int8) == found.top1


def test_the_batch_size_changes_nothing() -> None:
    one, other = (json.loads(tally(batch=b).model_dump_json()) for b in (2000, 7))
    assert one.pop("kl_nats") == pytest.approx(other.pop("kl_nats"))
    assert one.pop("sqnr_db") == pytest.approx(other.pop("sqnr_db"))
    assert one == other


def test_confusion_and_classes_add_up() -> None:
    found = tally()
    cells = np.array(found.confusion)
    assert cells[:, 2].sum() == cells[:, 3].sum() == 2000
    diagonal = cells[cells[:, 0] == cells[:, 1]]
    assert diagonal[:, 3].sum() == found.top1.int8_correct == sum(c.int8_correct for c in found.per_class)
    assert sum(c.worse for c in found.per_class) == found.top1.worse
    assert sum(c.better for c in found.per_class) == found.top1.better


def test_a_network_compared_with_itself_has_no_drop_and_no_noise() -> None:
    found = tally(noise=0.0)
    assert (found.top1.worse, found.top1.better, found.top1.mcnemar_p) == (0, 0, 1.0)
    assert found.agreement == 1.0
    assert found.kl_nats == 0.0
    assert found.sqnr_db is None
    assert found.top1.drop_interval.low < 0 < (found.top1.drop_interval.high or 0)


def test_top5_is_not_given_for_five_classes_or_fewer() -> None:
    assert tally(classes=5).top5 is None


@given(arrays(np.float32, (6, 4), elements=st.integers(-2, 2).map(float)), st.integers(0, 3))
def test_the_rank_of_a_label_agrees_with_argmax_even_in_ties(logits: NDArray[np.float32], label: int) -> None:
    labels = np.full(6, label, np.int64)
    ranks = label_rank(logits, labels)
    assert ((ranks == 0) == (logits.argmax(1) == label)).all()
    stable = np.argsort(-logits, axis=1, kind="stable")
    assert (ranks == (stable == label).argmax(1)).all()


@given(arrays(np.float32, (3, 5), elements=st.floats(-80, 80, width=32)))
@settings(max_examples=50)
def test_kl_divergence_is_scipys_and_never_negative(logits: NDArray[np.float32]) -> None:
    other = np.roll(logits, 1, axis=1)
    found = kl_divergence(logits, other)
    assert (found >= 0).all()
    expected = entropy(
        softmax(logits.astype(np.float64), axis=1), softmax(other.astype(np.float64), axis=1), axis=1
    )
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_worst_flips_come_first_and_carry_small_thumbnails() -> None:
    flips = tally(noise=1.5, side=200).negative_flips
    assert len(flips) > 24
    margins = [flip.fp32_margin for flip in flips]
    assert margins == sorted(margins, reverse=True)
    assert all(flip.thumbnail_png for flip in flips[:24])
    assert not any(flip.thumbnail_png for flip in flips[24:])
    png = np.frombuffer(base64.b64decode(flips[0].thumbnail_png or ""), np.uint8)
    decoded = cv2.imdecode(png, cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (64, 64, 3)


def test_nonsense_is_refused_by_name() -> None:
    fp32, int8, labels = simulated(4, 3, 0.0)
    pixels, names = np.zeros((4, 8, 8, 1), np.uint8), ["a.png", "b.png", "c.png", "d.png"]
    broken = int8.copy()
    broken[2, 1] = np.nan
    with pytest.raises(ReportError, match=r"INT8 logits are not finite for 1 of 4 images, first c\.png"):
        AccuracyTally(3).add(fp32, broken, labels.astype(np.int64), pixels, names)
    with pytest.raises(ReportError, match=r"shape \(4, 3\), but \(4, 10\)"):
        AccuracyTally(10).add(fp32, int8, labels.astype(np.int64), pixels, names)
    with pytest.raises(ReportError, match="labels reach 9"):
        AccuracyTally(3).add(fp32, int8, np.full(4, 9), pixels, names)
    with pytest.raises(ReportError, match="at least one"):
        AccuracyTally(3).accuracy(Origin.HOST, Origin.HOST)


def test_memory_does_not_grow_with_the_square_of_the_classes() -> None:
    classes, images = 20_000, 4
    logits = np.random.default_rng(0).normal(size=(images, classes)).astype(np.float32)
    labels = np.arange(images)
    tracemalloc.start()
    try:
        found = AccuracyTally(classes)
        found.add(logits, logits, labels, np.zeros((images, 4, 4, 3), np.uint8), list("abcd"))
        assert len(found.accuracy(Origin.HOST, Origin.HOST).per_class) == classes
        assert tracemalloc.get_traced_memory()[1] < 64 << 20  # a table of all pairs takes 3 GiB
    finally:
        tracemalloc.stop()
