"""What the command line reports without a traceback, and with which exit code."""

from collections.abc import Sequence
from typing import ClassVar


class PipelineError(Exception):
    """Something the user can put right. The text says what was found, what is allowed and what to do.

    Anything that is neither one of these nor a `targets.errors.TargetError` or
    `calibration.errors.CalibrationError` is our own bug and keeps its traceback.
    """

    exit_code: ClassVar[int] = 1


class UsageError(PipelineError):
    """A wrong name, option or configuration key."""

    exit_code = 2


class DataError(PipelineError):
    """Images or labels that are missing, empty, damaged or overlapping."""


class CheckpointError(PipelineError):
    """A file of weights that is missing, damaged, unsafe or does not fit the model."""


class StorageError(PipelineError):
    """The disk is full, or a folder cannot be written."""


class BundleError(PipelineError):
    """A bundle that cannot be read, or is not what its manifest says."""


class ReportError(PipelineError):
    """A report or baseline that cannot be read, or measurements that no report can be made of."""


class NothingToCompareError(ReportError):
    """There is no baseline yet."""

    exit_code = 4


class MeaninglessError(PipelineError):
    """Something was asked of a network that does no better than guessing."""

    exit_code = 5


def listed(items: Sequence[str], limit: int = 5) -> str:
    """Return the first `limit` items, and how many more there are: "a, b and 3 more"."""
    rest = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + rest
