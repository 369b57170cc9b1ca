"""Chooses the inner step of an instruction set, and those of its depthwise and Winograd convolutions."""

from typing import assert_never

from targets.tvm.isa import DotInstruction, Isa
from targets.tvm.kernels.arm import LaneDot, MatrixStep, PairwiseStep
from targets.tvm.kernels.chained_products import ChainedStep
from targets.tvm.kernels.inner_step import InnerStep
from targets.tvm.kernels.split_products import SplitStep
from targets.tvm.kernels.tap_step import FourBytes, StoredWords, TapStep, TwoPairs, TwoWords
from targets.tvm.kernels.word_products import FusedPairProducts, LaneProducts, PairProducts, WordProducts
from targets.tvm.kernels.x86 import ByteStep, FusedWordStep, WordStep


def inner_step(
    isa: Isa, chunk: int = 0, *, words: bool = False, split: bool = False, chained: bool = False
) -> InnerStep:
    """The inner step of an instruction set.

    `chunk`: see MatrixStep; `words`: activations are int16; or a SplitStep, or a ChainedStep.
    """
    match isa.dot:
        case DotInstruction.SDOT:
            return LaneDot()
        case DotInstruction.SMMLA:
            return MatrixStep(chunk)
        case DotInstruction.SMULL:
            return ChainedStep() if chained else PairwiseStep()
        case DotInstruction.VPDPBUSD:
            return FusedWordStep(isa.lanes, wide=True) if words else ByteStep(isa.lanes)
        case DotInstruction.VPMADDWD:
            return SplitStep(isa.lanes) if split else WordStep(isa.lanes, wide=words)
        case _:
            assert_never(isa.dot)


def chains_products(isa: Isa) -> bool:
    """Whether an instruction set has a ChainedStep."""
    return isa.dot is DotInstruction.SMULL


def tap_step(isa: Isa, channels: int, wide: bool) -> TapStep:
    """The step of an instruction set for vectors of `channels` channels, of 16 bits if they are `wide`."""
    match isa.dot:
        case DotInstruction.VPDPBUSD:
            return StoredWords(channels, products=2, fused=True) if wide else FourBytes(channels)
        case DotInstruction.VPMADDWD:
            return StoredWords(channels) if wide else TwoWords(channels)
        case DotInstruction.SDOT | DotInstruction.SMMLA:
            return FourBytes(channels, signed=True, columns=2, parts=1)
        case DotInstruction.SMULL:
            return TwoPairs(channels)
        case _:
            assert_never(isa.dot)


def widest_tap_step(isa: Isa, wide: bool) -> TapStep:
    """The step for the longest vectors."""
    return tap_step(isa, tap_step(isa, 16, wide).registers * isa.lanes, wide)


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
