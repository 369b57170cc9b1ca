"""Says what 16 bits are expected to bring, and what more of them would."""

from dataclasses import dataclass
from typing import assert_never

from calibration.scheme import Scheme


@dataclass(frozen=True)
class Prospect:
    """16 bits for some tensors, as expected from calibration images.

    agreement: the share of images that keep their class despite the rounding of the activations that have 8
    bits, in [0, 1]. time: what it adds, as a share of the network's own.
    """

    tensors: int
    agreement: float
    time: float


def outlook(subject: str, in_8_bits: float, chosen: Prospect, all_wide: Prospect, scheme: Scheme) -> str:
    """Return sentences without the last full stop.

    subject: what has a class; in_8_bits: the agreement with 8 bits everywhere.
    """
    kept = f"of the {subject} are expected to keep their class despite the rounding of activations"
    if not chosen.tensors:
        return f"{_percent(in_8_bits)} {kept} to 8 bits"
    match scheme:
        case Scheme.ASYM:
            estimate, more = (
                "estimated for x86; ARM takes about twice as much more",
                "`widest` in place of `wide`",
            )
        case Scheme.SYM:
            estimate, more = "estimated", "FP16 for all of them"
        case _:
            assert_never(scheme)
    made = (
        f"{_percent(chosen.agreement)} {kept}, {_percent(in_8_bits)} without 16 bits. {chosen.tensors} of "
        f"{all_wide.tensors} activations have 16, for {_time(chosen)} of the time of 8 ({estimate})"
    )
    if chosen.tensors == all_wide.tensors:
        return made
    return f"{made}. {more}: {_percent(all_wide.agreement)}, for {_time(all_wide)} of the time"


def _percent(share: float) -> str:
    """Rounded down, so that 100 % says all."""
    return f"{int(10_000 * share) / 100:.2f} %"


def _time(prospect: Prospect) -> str:
    return f"{1 + prospect.time:.2f}"
