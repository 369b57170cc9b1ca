"""Errors that the command line reports without a traceback, and their exit codes."""

from collections.abc import Sequence
from typing import ClassVar


class PipelineError(Exception):
    """An error that the user can fix. The message says what was found, what is allowed and what to do.

    An exception that is none of these, no `targets.errors.TargetError` and no
    `calibration.errors.CalibrationError` is a bug in edgec and keeps its traceback.
    """

    exit_code: ClassVar[int] = 1


class UsageError(PipelineError):
    """A wrong name, option or configuration key."""

    exit_code = 2


class DataError(PipelineError):
    """Images or labels that are missing, empty, damaged or overlapping."""


class CheckpointError(PipelineError):
    """A file of weights that is missing, damaged, unsafe or does not fit the model."""


class NoSuchDataError(DataError):
    """A path of images where nothing is, or something else."""

    exit_code = 2


class NoSuchModelError(CheckpointError):
    """A path of a network or its weights where nothing is, or no file."""

    exit_code = 2


class OtherKindError(CheckpointError):
    """A file of another kind in the place of a network or its weights, such as text or an archive."""

    exit_code = 2


class TrainingError(PipelineError):
    """Training that diverges, or that learned nothing."""


class StorageError(PipelineError):
    """The disk is full, or a folder cannot be written."""


class WrongPlaceError(StorageError):
    """A path to write to that is below a file or in no folder, or a folder instead of a file."""

    exit_code = 2


class CodeChangedError(PipelineError):
    """edgec's own source files were changed while it ran."""


class BundleError(PipelineError):
    """A bundle that cannot be read, or that differs from its manifest."""


class NoSuchBundleError(BundleError):
    """A path of a bundle where no file is."""

    exit_code = 2


class ReportError(PipelineError):
    """A report or baseline that cannot be read, or measurements that give no report."""


class NoSuchReportError(ReportError):
    """A path of a report where no file is."""

    exit_code = 2


class NothingToCompareError(ReportError):
    """There is no baseline yet."""

    exit_code = 4


class MeaninglessError(PipelineError):
    """A request that makes no sense for a network that does no better than guessing."""

    exit_code = 5


def listed(items: Sequence[str], limit: int = 5) -> str:
    """Return the first `limit` items, and how many more there are: "a, b and 3 more"."""
    rest = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + rest
