"""Which of several engines is chosen: the fastest whose accuracy is shown to pass."""

from typing import Any

import pytest

from targets.runtime.tensorrt.choice import choose, doubt_of_fp16, drop_of
from targets.runtime.tensorrt.engine import EngineProblem

ACCURACY = {name: {"images": 1024, "not_finite": 0} for name in ("int8", "int8_half", "mixed", "fp16")}


def latency(**p50_ms: float) -> dict[str, Any]:
    """Medians with an interval of 1 % at either side."""
    return {
        name: {"end_to_end": {"p50_ms": {"value": ms, "low": 0.99 * ms, "high": 1.01 * ms}}}
        for name, ms in p50_ms.items()
    }


def drop(value: float, margin: float = 0.2) -> dict[str, float]:
    return {"value": value, "low": value - margin, "high": value + margin}


def test_it_is_the_fastest_of_those_that_pass() -> None:
    drops = {"int8": drop(0.1), "int8_half": drop(0.1), "mixed": drop(0.0)}
    times = latency(int8=2.0, int8_half=1.8, mixed=1.5, fp16=3.0)
    chosen, why = choose(ACCURACY, drops, times, 1.0)
    assert chosen == "mixed"
    assert why == "p50 1.500 ms, FP16 3.000 ms; top-1 drop 0.00 [-0.20, 0.20] points"


def test_a_faster_one_that_loses_too_much_is_left() -> None:
    drops = {"int8": drop(0.1), "int8_half": drop(4.0), "mixed": drop(0.9)}
    times = latency(int8=2.0, int8_half=1.0, mixed=1.5, fp16=3.0)
    assert choose(ACCURACY, drops, times, 1.0)[0] == "int8"


@pytest.mark.parametrize(
    ("found", "ms", "why"),
    [
        (drop(4.0), 1.0, "int8 loses 4.00 [3.80, 4.20] points of top-1, 1.00 are allowed"),
        (drop(0.9), 1.0, "1024 images do not show that int8 loses at most 1.00 points"),
        (drop(0.1), 2.99, "int8 is not shown to be faster: p50 2.990 ms, FP16 3.000 ms"),
        (drop(0.1), 4.0, "int8 is not shown to be faster: p50 4.000 ms, FP16 3.000 ms"),
    ],
)
def test_a_candidate_not_shown_to_be_better_loses_to_fp16(
    found: dict[str, float], ms: float, why: str
) -> None:
    chosen, because = choose(ACCURACY, {"int8": found}, latency(int8=ms, fp16=3.0), 1.0)
    assert chosen == "fp16"
    assert because.startswith(why)


def test_every_candidate_has_its_objection() -> None:
    drops = {"int8": drop(4.0), "int8_half": drop(0.1)}
    _, why = choose(ACCURACY, drops, latency(int8=1.0, int8_half=5.0, fp16=3.0), 1.0)
    assert [part.split()[0] for part in why.split("; ")] == ["int8", "int8_half"]


def test_logits_that_are_no_numbers_are_never_chosen() -> None:
    accuracy = {**ACCURACY, "int8": {"images": 1024, "not_finite": 3}}
    chosen, why = choose(accuracy, {"int8": drop(0.0)}, latency(int8=1.0, fp16=3.0), 1.0)
    assert (chosen, why) == ("fp16", "int8 gives logits that are not numbers for 3 of 1024 images")


def test_fp16_that_is_wrong_is_not_the_one_to_fall_back_to() -> None:
    """Then no engine has to be faster than FP16; and without another engine nothing is chosen."""
    broken = drop_of((900, 10), 1024, 0.95)
    doubt = doubt_of_fp16(ACCURACY["fp16"], broken, 1.0)
    assert doubt.startswith("fp16 loses 86.91 [")
    assert doubt_of_fp16(ACCURACY["fp16"], drop_of((12, 10), 1024, 0.95), 1.0) == ""
    times = latency(int8=4.0, fp16=3.0)
    chosen, why = choose(ACCURACY, {"int8": drop(0.1)}, times, 1.0, doubt)
    assert chosen == "int8"
    assert why.endswith(doubt)
    with pytest.raises(EngineProblem, match=r"no engine is chosen: fp16 loses .*int8 loses 4\.00"):
        choose(ACCURACY, {"int8": drop(4.0)}, times, 1.0, doubt)
