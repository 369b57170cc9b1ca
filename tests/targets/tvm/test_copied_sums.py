"""Sums of 16 bits that convolutions read on another grid: the copies equal the oracle, bit for bit."""

import pytest

from targets.tvm.isa import ISAS
from targets.tvm.kernels.elementwise import CopyKernel
from targets.tvm.lower import lower
from targets.tvm.operators.results_on_grids import Clip
from tests.targets.needs import native
from tests.targets.tvm.against_oracle import EMULATED, check, emulated
from tests.targets.tvm.copied_sums import CopiedSum

NATIVE = ["avx512vnni", "avxvnni", "avx512", "avx2", "sse4"]
WIDE = Clip(0, 65535)
SUMS = {
    "behind a ReLU": CopiedSum(),
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


@pytest.mark.parametrize("which", SUMS)
@pytest.mark.parametrize("name", list(ISAS))
def test_whole_vectors_are_copied(name: str, which: str) -> None:
    steps = lower(SUMS[which].network(), ISAS[name]).steps
    assert not any(isinstance(step.kernel, CopyKernel) for step in steps)
