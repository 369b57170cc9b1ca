"""What a step of the engine needs to call a function of a float island."""

from dataclasses import dataclass
from enum import StrEnum


class Base(StrEnum):
    """What a pointer counts from; the C name of the step's argument that has it."""

    ARENA = "y"
    CONSTANTS = "w"
    IMAGE = "x"


@dataclass(frozen=True)
class Pointer:
    """An address, in bytes."""

    base: Base
    offset: int


@dataclass(frozen=True)
class FloatCall:
    """One call of the C function `symbol`. A single thread makes it."""

    symbol: str
    pointers: tuple[Pointer, ...]

    @property
    def items(self) -> int:
        """One: it is not divided among threads."""
        return 1
