"""FP32 is judged against guessing before anything is compared with it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportions_ztest

from pipeline.report.gates import accuracy_gates
from pipeline.report.image_tally import AccuracyTally
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.gate import Gate, overall
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.pixel_tally import PixelTally
from pipeline.report.plausibility import gains_over_guesses, plausibility_gate
from pipeline.report.stats import wilson_interval, wilson_score
from targets.base import Origin


def answered(labels: np.ndarray, answers: np.ndarray, classes: int) -> Accuracy:
    """INT8 that says exactly what FP32 says: nothing is lost, and every comparison would pass."""
    tally = AccuracyTally(classes)
    logits = np.eye(classes, dtype=np.float32)[answers]
    pixels = np.zeros((len(labels), 4, 4, 1), np.uint8)
    tally.add(logits, logits, labels.astype(np.int64), pixels, [str(i) for i in range(len(labels))])
    return tally.accuracy(Origin.HOST, Origin.HOST)


def balanced(images: int, classes: int = 10) -> np.ndarray:
    return np.arange(images) % classes


def at_accuracy(share: float, images: int, classes: int = 10, seed: int = 0) -> Gate:
    rng, labels = np.random.default_rng(seed), balanced(images, classes)
    wrong = (labels + rng.integers(1, classes, images)) % classes
    right = rng.permutation(images) < round(share * images)
    return judged(answered(labels, np.where(right, labels, wrong), classes))


def judged(accuracy: Accuracy | PixelAccuracy) -> Gate:
    gate = plausibility_gate(accuracy)
    assert gate is not None
    return gate


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.105])
@pytest.mark.parametrize("images", [100, 200, 10_000])
def test_a_network_at_chance_or_below_is_meaningless(share: float, images: int) -> None:
    assert at_accuracy(share, images).verdict is Verdict.MEANINGLESS


@pytest.mark.parametrize(("share", "images"), [(0.9, 10), (0.9, 200), (0.5, 40), (0.13, 10_000)])
def test_a_network_that_knows_something_passes(share: float, images: int) -> None:
    assert at_accuracy(share, images).verdict is Verdict.PASS


def test_few_images_decide_nothing_and_the_message_says_how_many_would() -> None:
    gate = at_accuracy(0.2, 10)
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert gate.images_to_decide
    assert gate.images_to_decide > 10
    assert f"about {gate.images_to_decide:,} images would decide" in gate.message


def test_one_answer_for_everything_is_meaningless_even_where_it_is_mostly_right() -> None:
    labels = np.where(np.arange(1000) % 10 < 8, 3, np.arange(1000) % 10)
    always = answered(labels, np.full(1000, 3), 10)
    assert always.top1.fp32 == 0.8
    gate = judged(always)
    assert gate.verdict is Verdict.MEANINGLESS
    assert "most frequent class" in gate.claim


def test_a_network_that_is_right_more_often_than_the_most_frequent_class_passes() -> None:
    labels = np.where(np.arange(1000) % 10 < 8, 3, np.arange(1000) % 10)
    answers = np.where(np.arange(1000) % 4 == 0, 3, labels)
    assert judged(answered(labels, answers, 10)).verdict is Verdict.PASS


def test_images_of_one_class_show_nothing() -> None:
    gate = judged(answered(np.full(500, 7), np.full(500, 7), 1000))
    assert gate.verdict is Verdict.MEANINGLESS
    assert "one class" in gate.message
    assert gate.images_to_decide is None


def test_forty_three_of_a_thousand_classes_are_guessed_among_those_that_are_there() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 43, 860)
    assert judged(answered(labels, rng.integers(0, 43, 860), 1000)).verdict is Verdict.MEANINGLESS
    right = np.where(rng.random(860) < 0.3, labels, rng.integers(0, 1000, 860))
    assert judged(answered(labels, right, 1000)).verdict is Verdict.PASS


def test_what_is_compared_with_a_meaningless_network_is_meaningless_too() -> None:
    labels = balanced(1000)
    at_chance = answered(labels, np.zeros(1000, np.int64), 10)
    gates = tuple(accuracy_gates(at_chance, 1.0, 0.99, Origin.HOST, min_top1=5.0))
    assert [gate.name for gate in gates] == ["plausible", "max_drop", "min_ratio", "min_top1"]
    assert {gate.verdict for gate in gates[:3]} == {Verdict.MEANINGLESS}
    assert "says nothing" in gates[1].message
    assert gates[3].verdict is Verdict.PASS  # a floor, which compares with nothing
    assert overall(gates) is Verdict.MEANINGLESS


def test_meaningless_outweighs_a_failure() -> None:
    at_chance = answered(balanced(1000), np.zeros(1000, np.int64), 10)
    gates = tuple(accuracy_gates(at_chance, 1.0, None, Origin.HOST, min_top1=50.0))
    assert gates[-1].verdict is Verdict.FAIL
    assert overall(gates).exit_code == 5


@pytest.mark.parametrize(
    ("floor", "verdict"), [(80.0, Verdict.PASS), (95.0, Verdict.FAIL), (90.0, Verdict.INCONCLUSIVE)]
)
def test_a_floor_is_judged_by_the_whole_interval_of_int8(floor: float, verdict: Verdict) -> None:
    labels = balanced(2000)
    answers = np.where(np.arange(2000) % 100 < 90, labels, (labels + 1) % 10)
    *_, gate = accuracy_gates(answered(labels, answers, 10), 1.0, None, Origin.HOST, min_top1=floor)
    assert gate.name == "min_top1"
    assert gate.value == pytest.approx(90.0)
    assert gate.verdict is verdict


def segmented(truth: np.ndarray, said: np.ndarray, classes: int = 4, labelled: bool = True) -> PixelAccuracy:
    logits = np.moveaxis(np.eye(classes, dtype=np.float32)[said], -1, 1)
    images = np.zeros((*truth.shape, 3), np.uint8)
    tally = PixelTally(classes)
    masks = truth.astype(np.uint8) if labelled else None
    tally.add(logits, logits, masks, images, [str(i) for i in range(len(truth))])
    return tally.accuracy(Origin.HOST, Origin.HOST)


MASKS = np.random.default_rng(2).choice(4, size=(60, 12, 12), p=[0.7, 0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    "said",
    [np.zeros_like(MASKS), np.random.default_rng(3).integers(0, 4, MASKS.shape), (MASKS + 1) % 4],
    ids=["always the background", "random", "always wrong"],
)
def test_pixels_that_are_guessed_are_meaningless(said: np.ndarray) -> None:
    gates = tuple(accuracy_gates(segmented(MASKS, said), 1.0, None, Origin.HOST))
    assert gates[0].name == "plausible"
    assert overall(gates) is Verdict.MEANINGLESS


def test_pixels_that_are_mostly_right_pass() -> None:
    said = np.where(np.random.default_rng(4).random(MASKS.shape) < 0.9, MASKS, 0)
    assert judged(segmented(MASKS, said)).verdict is Verdict.PASS


def test_a_network_for_rare_classes_passes_by_its_mean_iou() -> None:
    """It takes much background for something else: fewer pixels are right than by saying background."""
    noise = np.random.default_rng(5).random(MASKS.shape) < 0.45
    said = np.where(noise & (MASKS == 0), 1, MASKS)
    found = segmented(MASKS, said)
    assert found.pixels_above_guess is not None
    assert found.pixels_above_guess.fp32 > found.pixels.fp32
    assert judged(found).verdict is Verdict.PASS


def test_without_masks_only_a_network_that_says_one_class_is_known_to_be_meaningless() -> None:
    assert plausibility_gate(segmented(MASKS, MASKS, labelled=False)) is None
    assert judged(segmented(MASKS, np.full_like(MASKS, 2), labelled=False)).verdict is Verdict.MEANINGLESS


@given(st.integers(1, 500), st.floats(0, 1), st.floats(0.05, 0.95))
def test_the_score_of_a_share_is_statsmodels(trials: int, part: float, share: float) -> None:
    successes = round(part * trials)
    expected, _ = proportions_ztest(successes, trials, share, prop_var=share)
    assert wilson_score(successes, trials, share) == pytest.approx(expected, abs=1e-9)


@given(st.integers(1, 400), st.floats(0, 1))
def test_the_interval_of_a_share_is_scipys(trials: int, part: float) -> None:
    successes = round(part * trials)
    found, expected = (
        wilson_interval(successes, trials),
        binomtest(successes, trials).proportion_ci(0.95, method="wilson"),
    )
    assert found.low == pytest.approx(expected.low, abs=1e-9)
    assert found.high == pytest.approx(expected.high, abs=1e-9)


def test_as_many_images_as_are_said_to_decide_do_so_four_times_in_five() -> None:
    """At a true accuracy of 30 % of 10 classes, judged over the most frequent class."""
    rng = np.random.default_rng(6)
    gain, _ = gains_over_guesses(np.full(10, 3), np.array([1] * 9 + [0]))
    needed = gain.images_to_decide()
    assert needed
    per_class = -(-needed // 10)
    decided = 0
    for _ in range(400):
        right = rng.binomial(per_class, 0.3, 10)
        again, _ = gains_over_guesses(np.full(10, per_class), right)
        decided += again.verdict is not Verdict.INCONCLUSIVE
    assert decided >= 0.7 * 400
