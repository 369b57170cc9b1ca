"""How certain a figure is: its interval, the verdict on a claim about it, or why it was not measured."""

from enum import StrEnum
from typing import Literal

from pipeline.report.record import Record


class Verdict(StrEnum):
    """What a gate says. Inconclusive means: measure more, the message says how much.

    Meaningless means that FP32 itself does no better than guessing: what INT8 loses against it says nothing.
    """

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    MEANINGLESS = "meaningless"

    @property
    def exit_code(self) -> int:
        """Return what a program that judges ends with: 2 and 4 are those of `pipeline.errors`."""
        return {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3, Verdict.MEANINGLESS: 5}[self]


class Interval(Record):
    """A two-sided confidence interval, in the unit of the figure it belongs to."""

    low: float
    high: float | None  # None: unbounded above, there are too few observations for an upper end
    level: float = 0.95

    def scaled(self, factor: float) -> "Interval":
        """Return the interval in another unit; `factor` is positive."""
        high = None if self.high is None else self.high * factor
        return Interval(low=self.low * factor, high=high, level=self.level)


class NotMeasured(Record):
    """A figure that was not measured, and why."""

    kind: Literal["not measured"] = "not measured"
    reason: str
