"""Calls of a float island's functions, as steps of the engine."""

from dataclasses import dataclass
from enum import StrEnum


class Base(StrEnum):
    """The base of a pointer; its value is the C name of the step's argument."""

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
        """Work items: one, since it is not divided among threads."""
        return 1
