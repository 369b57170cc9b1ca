"""Chooses the inner step of an instruction set."""

from typing import assert_never

from targets.tvm.isa import DotInstruction, Isa
from targets.tvm.kernels.arm import LaneDot, MatrixStep, PairwiseStep
from targets.tvm.kernels.inner_step import InnerStep
from targets.tvm.kernels.x86 import ByteStep, WordStep


def inner_step(isa: Isa, chunk: int = 0, *, wide: bool = False) -> InnerStep:
    """The inner step of an instruction set. `chunk`: see MatrixStep; `wide`: see WordStep."""
    match isa.dot:
        case DotInstruction.SDOT:
            return LaneDot()
        case DotInstruction.SMMLA:
            return MatrixStep(chunk)
        case DotInstruction.SMULL:
            return PairwiseStep()
        case DotInstruction.VPDPBUSD:
            return ByteStep(isa.lanes)
        case DotInstruction.VPMADDWD:
            return WordStep(isa.lanes, wide=wide)
        case _:
            assert_never(isa.dot)
