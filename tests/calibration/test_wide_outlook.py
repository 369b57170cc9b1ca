"""What is said of 16 bits: what they bring, what they cost, and what more of them would."""

import pytest

from calibration.scheme import Scheme
from calibration.wide_outlook import Prospect, outlook

SOME, ALL = Prospect(13, 0.99456, 0.248), Prospect(61, 0.99999, 0.9)
KEPT = "of the images are expected to keep their class despite the rounding of activations"


@pytest.mark.parametrize(
    ("scheme", "estimate", "more"),
    [
        (
            Scheme.ASYM,
            "estimated for x86; ARM takes about twice as much more",
            "`widest` in place of `wide`",
        ),
        (Scheme.SYM, "estimated", "FP16 for all of them"),
    ],
)
def test_what_more_would_bring_is_said_with_its_price(scheme: Scheme, estimate: str, more: str) -> None:
    assert outlook("images", 0.982, SOME, ALL, scheme).split(". ") == [
        f"99.45 % {KEPT}, 98.20 % without 16 bits",
        f"13 of 61 activations have 16, for 1.25 of the time of 8 ({estimate})",
        f"{more}: 99.99 %, for 1.90 of the time",
    ]


def test_where_8_bits_are_enough_nothing_more_is_proposed() -> None:
    assert outlook("images", 0.9987, Prospect(0, 0.9987, 0), ALL, Scheme.ASYM) == f"99.87 % {KEPT} to 8 bits"


def test_where_all_have_them_there_is_no_more() -> None:
    assert "widest" not in outlook("images", 0.9, ALL, ALL, Scheme.ASYM)
