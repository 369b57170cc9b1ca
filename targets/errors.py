"""Errors of the targets that the command line reports without a traceback."""


class TargetError(Exception):
    """Something about a target that the user can put right."""


class TargetUnavailable(TargetError):
    """The toolchain or device is not here. The text says what is missing and how to get it."""


class EngineError(TargetError):
    """An engine could not be built, or a built one cannot be used."""
