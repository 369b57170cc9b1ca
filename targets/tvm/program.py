"""The program between lowering and code generation: steps, addresses, constants."""

from dataclasses import dataclass
from typing import Any, Protocol

from targets.tvm.floats.calls import FloatCall
from targets.tvm.isa import Isa
from targets.tvm.layout import Layout

IMAGE = -1
"""The address of the caller's image."""
NOTHING = -2
"""The address of an operand that a kernel does not have."""


class Kernel(Protocol):
    """The interface of kernels for code generation."""

    @property
    def items(self) -> int:
        """The number of work items to divide among threads."""
        ...

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        ...


@dataclass(frozen=True)
class Fill:
    """Bytes around (or, with `whole`, everywhere in) a tensor that are set before its kernel runs.

    Threads set those around the rows they then compute; with `whole`, rows are the kernel's work items.

    `pattern` is an offset into the constants: one stored pixel of zero points.
    """

    address: int
    layout: Layout
    pattern: int
    varies: bool
    """Whether channels have different zero points, as the image's may."""
    whole: bool = False


@dataclass(frozen=True)
class Step:
    """One kernel call. x, r, y are offsets into the arena, IMAGE or NOTHING; w and p into the constants."""

    node: str
    kernel: Kernel | FloatCall
    x: int = NOTHING
    w: int = 0
    p: int = 0
    r: int = NOTHING
    y: int = NOTHING
    fill: Fill | None = None
    macs: int = 0
    int8: bool = True
    """Whether it belongs to the integer part, as logits do, and not to a float island or its borders."""


@dataclass(frozen=True, eq=False)
class Program:
    """Everything that code generation needs."""

    isa: Isa
    steps: tuple[Step, ...]
    constants: bytes
    arena: int
    logits: int
    """Where in the arena the last step leaves float32 logits."""
    image: tuple[int, int, int]
    classes: int
    """How many numbers come out."""
    output_pixels: int
    """How many of them belong to one class: 1 unless pixels are classified."""
    floats: dict[str, Any]
    """Functions of float islands, TIR, by C symbol."""
