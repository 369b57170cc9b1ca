"""What is proposed was tried: it brings the logits of a copy of B back to A's."""

from dataclasses import replace

import onnx
import pytest

from pipeline.difference.compare import compare
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.remedies import try_remedies
from pipeline.report.model.difference_report import FoundFault, TriedRemedy
from tests.pipeline.difference.planted_fault import planted
from tests.pipeline.difference.small_pair import Pair

ROUNDED_DB = 35.0
REMOVED = {
    "w8a8_asym_mse_bc": (
        "bgr",
        "no bias",
        "padding side",
        "no residual",
        "half overflow",
        "shuffled channels",
        "clipped range",
        "coarse activation",
        "scale behind",
        "zero point",
        "class order",
    ),
    "w8a8_sym_mse_eq_bc": ("leaky activation", "clipped range", "coarse activation"),
}
"""Faults by the recipe of their network: one of each way to repair B, also where channels are rescaled."""


@pytest.mark.parametrize(("form", "fault"), [(form, one) for form, all_ in REMOVED.items() for one in all_])
def test_the_remedy_takes_the_difference_away(form: str, fault: str, pair: Pair) -> None:
    changed, _ = planted(pair.quantised[form], fault, pair)
    (tried,) = try_remedies(compare(pair.float_model, changed, pair.pictures))
    assert tried is not None
    assert tried.before_db < ROUNDED_DB < tried.after_db


def test_remedies_of_two_faults_build_on_each_other(pair: Pair) -> None:
    sound = pair.quantised["w8a8_asym_mse_bc"]
    changed, _ = planted(planted(sound, "zero point", pair)[0], "no bias", pair)
    first, second = try_remedies(compare(pair.float_model, changed, pair.pictures))
    assert first is not None
    assert second is not None
    assert (second.before_db, second.after_db > ROUNDED_DB) == (first.after_db, True)


def test_what_cannot_be_done_to_the_graph_is_not_proposed(pair: Pair) -> None:
    changed, _ = planted(pair.quantised["w8a8_asym_mse_bc"], "zero point", pair)
    found = compare(pair.float_model, changed, pair.pictures)
    elsewhere = replace(found.findings[0], place="a tensor of no network", kind=FaultKind.UNEXPLAINED)
    assert try_remedies(replace(found, findings=(elsewhere,))) == (None,)


def test_the_network_itself_is_left_as_it_is(pair: Pair) -> None:
    changed, _ = planted(pair.quantised["w8a8_asym_mse_bc"], "clipped range", pair)
    kept = onnx.ModelProto()
    kept.CopyFrom(changed)
    try_remedies(compare(pair.float_model, changed, pair.pictures))
    assert changed == kept


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        (None, "Not tried: Do this."),
        (
            TriedRemedy(before_db=5, after_db=41, observer="mse"),
            "What to do: Do this. Tried in a copy of B, with ranges by `mse`: its logits agree with A's"
            " to 41 dB, 5 without.",
        ),
        (
            TriedRemedy(before_db=5, after_db=5),
            "Tried in a copy of B, without success (5 dB before, 5 after): Do this.",
        ),
    ],
)
def test_the_report_says_what_came_of_it(tried: TriedRemedy | None, words: str) -> None:
    fault = FoundFault(
        kind="scale", place="x", evidence="", before_db=1, after_db=None, remedy="Do this.", tried=tried
    )
    assert fault.remedy_words == words
