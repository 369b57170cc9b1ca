"""A unit: a piece of work whose result depends on nothing but what its digest covers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pipeline.errors import PipelineError
from pipeline.progress import Progress
from targets.errors import DeviceError

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
SHOWN_LETTERS = 12
"""How many hex digits of a digest stand in messages: enough to name a unit."""


class Unit(Protocol[R_co]):
    """A piece of work that may be done anywhere, by several at once, and again: the result is the same.

    It travels to other machines as a pickle: its fields are plain values and paths that all of them see.
    """

    @property
    def title(self) -> str:
        """What it computes, for messages: "answer, images 1,025 to 2,048"."""
        ...

    @property
    def digest(self) -> str:
        """The SHA-256, in hex, of everything that the result depends on."""
        ...

    @property
    def inputs(self) -> Mapping[str, str]:
        """The digests of its inputs by name, which are shown if it fails."""
        ...

    @property
    def board(self) -> str | None:
        """The board that it uses alone while it runs; None: it needs none."""
        ...

    @property
    def has_float_bits(self) -> bool:
        """Whether the result holds float numbers whose last bits may depend on the processor."""
        ...

    def run(self, progress: Progress) -> R_co:
        """Compute the result, or find it in the store."""
        ...


@dataclass(frozen=True)
class Failure:
    """Why a unit has no result. `log` is what it said, with the traceback if that is a bug of ours."""

    message: str
    log: str = ""
    is_bug: bool = False
    by_board: bool = False
    """Whether it is the board's fault: a board that is like it may do the unit."""


class UnitError(PipelineError):
    """A unit failed, and what depends on it cannot be made."""


class UnitOnBoardError(DeviceError):
    """A board failed while a unit used it."""


@dataclass(frozen=True)
class FinishedUnit(Generic[R]):
    """How a unit ended: with a result or a failure, on which worker, after how many seconds."""

    unit: Unit[R]
    worker: str
    result: R | None
    seconds: float
    failure: Failure | None = None

    def value(self) -> R:
        """Return the result.

        Raises UnitOnBoardError if the board failed, else UnitError: where it failed, why, how to repeat it.
        """
        if self.failure is None:
            return self.result  # type: ignore[return-value] # a unit without a failure has its result
        if self.failure.by_board:
            raise UnitOnBoardError(f"{self.unit.title}, on {self.worker}: {self.failure.message}")
        read = "".join(f"\n  {name} {digest}" for name, digest in self.unit.inputs.items())
        log = f"\n{self.failure.log.rstrip()}" if self.failure.log else ""
        digest = self.unit.digest[:SHOWN_LETTERS]
        raise UnitError(
            f"{self.unit.title} failed on {self.worker}: {self.failure.message}{log}"
            f"\nIt read:{read or ' nothing'}\nRepeat it here: edgec unit run {digest}"
        )
