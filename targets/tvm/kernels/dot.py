"""Chooses the inner step of an instruction set, and those of its depthwise and Winograd convolutions."""

from typing import assert_never

from targets.tvm.isa import DotInstruction, Isa
from targets.tvm.kernels.arm import LaneDot, MatrixStep, PairwiseStep
from targets.tvm.kernels.chained_products import ChainedStep
from targets.tvm.kernels.inner_step import InnerStep
from targets.tvm.kernels.split_products import SplitStep
from targets.tvm.kernels.tap_step import FourBytes, TapStep, TwoPairs, TwoWords
from targets.tvm.kernels.word_products import FusedPairProducts, LaneProducts, PairProducts, WordProducts
from targets.tvm.kernels.x86 import ByteStep, WordStep


def inner_step(
    isa: Isa, chunk: int = 0, *, wide: bool = False, split: bool = False, chained: bool = False
) -> InnerStep:
    """The inner step of an instruction set.

    `chunk`: see MatrixStep; `wide`: see WordStep; or a SplitStep, or a ChainedStep.
    """
    match isa.dot:
        case DotInstruction.SDOT:
            return LaneDot()
        case DotInstruction.SMMLA:
            return MatrixStep(chunk)
        case DotInstruction.SMULL:
            return ChainedStep() if chained else PairwiseStep()
        case DotInstruction.VPDPBUSD:
            return ByteStep(isa.lanes)
        case DotInstruction.VPMADDWD:
            return SplitStep(isa.lanes) if split else WordStep(isa.lanes, wide=wide)
        case _:
            assert_never(isa.dot)


def chains_products(isa: Isa) -> bool:
    """Whether an instruction set has a ChainedStep."""
    return isa.dot is DotInstruction.SMULL


def tap_step(isa: Isa, channels: int) -> TapStep:
    """The step of an instruction set for vectors of `channels` channels."""
    match isa.dot:
        case DotInstruction.VPDPBUSD:
            return FourBytes(channels)
        case DotInstruction.VPMADDWD:
            return TwoWords(channels)
        case DotInstruction.SDOT | DotInstruction.SMMLA:
            return FourBytes(channels, signed=True)
        case DotInstruction.SMULL:
            return TwoPairs(channels)
        case _:
            assert_never(isa.dot)


def word_products(isa: Isa, channels: int) -> WordProducts | None:
    """How an instruction set multiplies int16 of so many channels; None where those of bytes are faster."""
    match isa.dot:
        case DotInstruction.VPMADDWD:
            return PairProducts(isa.lanes)
        case DotInstruction.SMULL:
            return LaneProducts(step=8 if channels % 8 == 0 else 4)
        case DotInstruction.VPDPBUSD:
            return FusedPairProducts(isa.lanes)
        case DotInstruction.SDOT | DotInstruction.SMMLA:
            return None
        case _:
            assert_never(isa.dot)
