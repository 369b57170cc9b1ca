from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ReportError
from pipeline.report import corruption_loss
from pipeline.report.corruption_loss import CorruptedAnswers, RobustnessTally, extra_loss
from pipeline.report.model.corrupted_accuracy import Robustness
from pipeline.report.sections.robustness import conclusion, mean_top1, stands_out
from targets.base import Origin
from tests.pipeline.report.samples import robustness


def logits(right: list[bool]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Logits of two classes for images of class 1."""
    return np.array([[0, 1] if one else [1, 0] for one in right], np.float32)


def recorded(parts: list[CorruptedAnswers]) -> Robustness:
    return corruption_loss.robustness(parts, Origin.HOST, Origin.HOST, "ImageNet-C", 0, "0" * 64)


def tallied(
    clean: tuple[list[bool], list[bool]], corrupted: dict[tuple[str, int], tuple[list[bool], list[bool]]]
) -> Robustness:
    tally = RobustnessTally(list(corrupted))
    labels = np.ones(len(clean[0]), np.int64)
    for condition, (fp32, int8) in [(None, clean), *corrupted.items()]:
        tally.add(condition, logits(fp32), logits(int8), labels)
    return recorded([tally.answers()])


T, F = True, False


def test_the_extra_loss_is_the_drop_corrupted_minus_the_drop_clean() -> None:
    found = tallied(
        clean=([T, T, T, T], [T, T, T, F]),
        corrupted={("blur", 1): ([T, T, F, T], [F, T, F, F]), ("blur", 5): ([F, T, F, F], [F, F, F, F])},
    )
    assert found.clean.drop_points == 25
    first, second = found.corrupted
    assert (first.top1.drop_points, first.extra.points) == (50, 25)
    assert (second.top1.drop_points, second.extra.points) == (25, 0)
    assert found.extra.points == 12.5
    assert (found.fp32_loss_points, found.int8_loss_points) == (50, 62.5)
    assert found.int8_loss_points - found.fp32_loss_points == found.extra.points
    assert dict(found.by_corruption)["blur"].points == 12.5
    assert mean_top1(found, "blur") == (0.5, 0.125)


def test_one_image_counts_once_however_often_it_is_corrupted() -> None:
    """Ten corruptions that harm the same two images say no more than one that does."""
    change = np.zeros(50, np.int64)
    change[:2] = 1
    once, often = extra_loss([change]), extra_loss([change] * 10)
    assert once.points == often.points
    assert once.p == often.p == 0.5


@given(st.lists(st.integers(0, 30), max_size=6), st.booleans())
@settings(max_examples=25)
def test_batches_and_parts_count_as_the_whole(cuts: list[int], in_batches: bool) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 30)
    pairs = {c: rng.standard_normal((2, 30, 3)).astype(np.float32) for c in (None, ("fog", 3), ("fog", 5))}

    def answers(parts: list[slice]) -> CorruptedAnswers:
        tally = RobustnessTally([("fog", 3), ("fog", 5)])
        for part in parts:
            for condition, (fp32, int8) in pairs.items():
                tally.add(condition, fp32[part], int8[part], labels[part])
        return CorruptedAnswers.model_validate_json(tally.answers().to_json())

    parts = [slice(*ends) for ends in pairwise([0, *sorted(cuts), 30])]
    found = recorded([answers(parts)] if in_batches else [answers([part]) for part in parts])
    assert found.to_json() == recorded([answers([slice(0, 30)])]).to_json()


def test_a_network_that_breaks_under_one_corruption_is_named_with_it() -> None:
    found = robustness(harm=0.3)
    said = conclusion(found)
    assert "more than FP32" in said
    assert ", more than noise (difference +" in said
    assert said.endswith("After Holm's correction for 4 conditions, INT8 loses more under fog 1, fog 5.")
    assert [stands_out(one) for one in found.corrupted] == [False, False, True, True]


def test_where_there_is_only_noise_it_says_so() -> None:
    said = conclusion(robustness(harm=0.0))
    assert "no more than noise" in said
    assert said.endswith("Not one of 4 conditions alone shows INT8 losing more, after Holm's correction.")


def test_intervals_of_all_corruptions_together_are_wider_than_one_alone() -> None:
    found = robustness()
    assert {extra.interval.level for _, extra in found.by_corruption} == {0.975}
    assert found.extra.interval.level == 0.95


def test_an_engine_that_answers_nan_is_refused_with_the_condition() -> None:
    tally = RobustnessTally([("fog", 3)])
    broken = np.full((1, 2), np.nan, np.float32)
    with pytest.raises(ReportError, match="INT8 logits are not finite on fog, severity 3"):
        tally.add(("fog", 3), logits([T]), broken, np.ones(1, np.int64))


def test_nothing_counted_is_refused() -> None:
    with pytest.raises(ReportError, match="at least one"):
        recorded([RobustnessTally([("fog", 3)]).answers()] * 2)
