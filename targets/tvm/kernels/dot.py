"""Which inner step an instruction set has."""

from targets.tvm.isa import Dot, Isa
from targets.tvm.kernels.arm import LaneDot, MatrixStep, PairwiseStep
from targets.tvm.kernels.step import Step
from targets.tvm.kernels.x86 import BroadcastStep


def step(isa: Isa, chunk: int = 0) -> Step:
    """The inner step of an instruction set. `chunk`: see MatrixStep."""
    match isa.dot:
        case Dot.SDOT:
            return LaneDot()
        case Dot.SMMLA:
            return MatrixStep(chunk)
        case Dot.SMULL:
            return PairwiseStep()
        case _:
            return BroadcastStep(isa)
