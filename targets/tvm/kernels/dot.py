"""Which inner step an instruction set has."""

from targets.tvm.isa import Dot, Isa
from targets.tvm.kernels.arm import LaneDot, MatrixStep, PairwiseStep
from targets.tvm.kernels.step import Step
from targets.tvm.kernels.x86 import BroadcastStep


def step(isa: Isa) -> Step:
    """The inner step of an instruction set."""
    match isa.dot:
        case Dot.SDOT:
            return LaneDot()
        case Dot.SMMLA:
            return MatrixStep()
        case Dot.SMULL:
            return PairwiseStep()
        case _:
            return BroadcastStep(isa)
