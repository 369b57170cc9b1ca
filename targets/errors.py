"""Errors of the targets that the command line reports without a traceback."""

from calibration.errors import did_you_mean


class TargetError(Exception):
    """Something about a target that the user can put right."""


class UnknownTarget(TargetError):
    """There is no target of that name."""

    def __init__(self, found: str, allowed: list[str]) -> None:
        hint = did_you_mean(found, allowed)
        super().__init__(f"Unknown target {found!r}.{hint} Known targets: {', '.join(allowed)}.")


class TargetUnavailable(TargetError):
    """The toolchain or device is not here. The text says what is missing and how to get it."""


class EngineError(TargetError):
    """An engine could not be built, or a built one cannot be used."""


class NoIntegerForm(EngineError):
    """An operator cannot be computed with integers as it stands in the graph; it may be in float."""
