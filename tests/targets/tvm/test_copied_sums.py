"""Sums of 16 bits that convolutions read on another grid: the copies equal the oracle, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from targets.reach.emulator import EmulatedRunner
from targets.runtime.native_runner import open_engine
from targets.tvm.debug_engine import write_debug_engine
from targets.tvm.isa import ISAS
from targets.tvm.kernels.elementwise import CopyKernel
from targets.tvm.kernels.narrow import NarrowKernel
from targets.tvm.layout import layouts, stored_channels
from targets.tvm.lower import lower
from targets.tvm.operators.results_on_grids import Clip
from tests.targets.needs import native
from tests.targets.tvm.against_oracle import EMULATED, check, emulated
from tests.targets.tvm.copied_sums import CopiedSum, every_number

NATIVE = ["avx512vnni", "avxvnni", "avx512", "avx2", "sse4"]
WIDE = Clip(0, 65535)
HALF = 257 / 2
"""Steps of 16 bits in one of 8, where 8 bits cover half of the range."""
SUMS = {
    "behind a ReLU": CopiedSum(),
    "of half the range": CopiedSum(step=HALF, width=13),
    "of half the range in many channels": CopiedSum(step=HALF, channels=80, width=3),
    "of half the range in few channels": CopiedSum(step=HALF, channels=9, width=4),
    "of half the range and few pixels": CopiedSum(step=HALF, channels=30, width=1),
    "of half the range and bounded": CopiedSum(step=HALF, clips=(WIDE, Clip(0, 200))),
    "of half the range with a zero point": CopiedSum(step=HALF, zeros=(257 * 7, 7)),
    "of a channel less than 32": CopiedSum(channels=31, zeros=(0, 1)),
    "in many channels": CopiedSum(channels=80, width=7, zeros=(33000, 100)),
    "of few pixels": CopiedSum(channels=32, width=2, zeros=(65535, 255)),
    "bounded": CopiedSum(zeros=(30000, 0), clips=(Clip(30000, 60000), Clip(3, 90))),
    "beyond int32": CopiedSum(zeros=(700, 9), step=1e-9),
    "16 bits of 16": CopiedSum(zeros=(9, 20000), clips=(WIDE, WIDE), step=1.7, wide_copy=True),
    "16 bits of 8": CopiedSum(
        zeros=(9, 20000), clips=(Clip(), WIDE), step=1 / 257, narrow_sum=True, wide_copy=True
    ),
}


@pytest.mark.parametrize("which", SUMS)
@pytest.mark.parametrize("name", NATIVE)
def test_on_this_machine(name: str, which: str) -> None:
    check(SUMS[which].network(), native(name))


@pytest.mark.parametrize("which", SUMS)
@pytest.mark.parametrize("name", list(EMULATED))
def test_in_the_emulator(name: str, which: str) -> None:
    check(SUMS[which].network(), emulated(name))


@pytest.mark.parametrize("name", NATIVE)
def test_every_number_of_16_bits_on_this_machine(name: str, tmp_path: Path) -> None:
    graph, images = every_number()
    debug = write_debug_engine(graph, native(name), tmp_path / "engine")
    with open_engine(tmp_path / "engine") as opened:
        output = opened.infer(images)
    assert len(np.unique(debug.tensors(output)["sum"])) == 1 << 16
    assert not any(debug.differing(output, images).values())


@pytest.mark.parametrize("name", list(EMULATED))
def test_every_number_of_16_bits_in_the_emulator(name: str, tmp_path: Path) -> None:
    graph, images = every_number()
    debug = write_debug_engine(graph, emulated(name), tmp_path / "engine")
    output = EmulatedRunner(tmp_path / "engine", EMULATED[name]).infer(images)
    assert len(np.unique(debug.tensors(output)["sum"])) == 1 << 16
    assert not any(debug.differing(output, images).values())


@pytest.mark.parametrize("which", SUMS)
@pytest.mark.parametrize("name", list(ISAS))
def test_integers_alone_are_used_where_they_give_the_same(name: str, which: str) -> None:
    """Of few pixels they would be less than a vector on x86."""
    found = any(
        isinstance(step.kernel, NarrowKernel) for step in lower(SUMS[which].network(), ISAS[name]).steps
    )
    case = SUMS[which]
    assert found == (case == CopiedSum(case.channels, case.width, step=HALF) and not is_short(name, case))


def is_short(name: str, case: CopiedSum) -> bool:
    """Whether a row is less than four vectors of x86."""
    return not ISAS[name].signed and case.width * stored_channels(case.channels) < 4 * ISAS[name].lanes


@pytest.mark.parametrize("which", SUMS)
@pytest.mark.parametrize("name", list(ISAS))
def test_whole_vectors_are_copied(name: str, which: str) -> None:
    steps = lower(SUMS[which].network(), ISAS[name]).steps
    assert not any(isinstance(step.kernel, CopyKernel) for step in steps)


@pytest.mark.parametrize("name", ["neon", "dotprod", "i8mm"])
def test_what_is_only_added_or_copied_is_int16(name: str) -> None:
    """What a convolution multiplies lies apart."""
    assert not layouts(CopiedSum().network(), ISAS[name])["sum"].apart
    multiplied = CopiedSum(clips=(WIDE, WIDE), step=1.7, wide_copy=True).network()
    assert layouts(multiplied, ISAS[name])["copy"].apart
