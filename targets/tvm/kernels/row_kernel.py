"""The base class of kernels whose work items are rows: all but convolutions."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from targets.tvm.isa import Isa
from targets.tvm.kernels.emitter import Emitter


@dataclass(frozen=True, kw_only=True)
class RowKernel(ABC):
    """A kernel whose work items are the `height` rows of what it computes, or of what it reads."""

    isa: Isa
    height: int

    @property
    def items(self) -> int:
        """Work items: rows."""
        return self.height

    def emitter(self) -> Emitter:
        """Begin a function on activations as the instruction set stores them."""
        return Emitter(self.isa.stored)

    @abstractmethod
    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
