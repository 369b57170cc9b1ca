"""Errors of the targets that the command line reports without a traceback."""

from calibration.errors import did_you_mean


class TargetError(Exception):
    """An error of a target that the user can fix."""


class UnknownTarget(TargetError):
    """There is no target of that name."""

    def __init__(self, found: str, allowed: list[str]) -> None:
        several = set(found.replace(" ", "").split(",")) <= set(allowed)
        hint = (
            " A build has one target; edgec matrix builds several."
            if several
            else did_you_mean(found, allowed)
        )
        super().__init__(f"Unknown target {found!r}.{hint} Known targets: {', '.join(allowed)}.")


class TargetUnavailable(TargetError):
    """The toolchain or device is missing. The message says what, and how to get it."""


class NotInstalled(TargetUnavailable):
    """A package is missing that every installation of edgec brings. `purpose`: what it is for."""

    def __init__(self, package: str, purpose: str = "") -> None:
        super().__init__(
            f"{package} is not installed{purpose and f'; {purpose}'}. It comes with edgec. Install what is"
            " missing: `make setup` in a checkout, `pip install edgec` elsewhere."
        )


class EngineError(TargetError):
    """An engine could not be built, or a built one cannot be used."""


class NoIntegerForm(EngineError):
    """An operator that cannot be computed with integers in this graph, but may be in float."""


class DeviceError(TargetError):
    """An error of a device that is reached over a network."""


class DeviceAddressError(DeviceError):
    """A text that is not the address of a device."""


class DeviceUnreachable(DeviceError):
    """Nothing answers at the device's address."""


class HostKeyUnknown(DeviceError):
    """The device's host key is not in known_hosts: the user has not confirmed this machine yet."""


class HostKeyChanged(DeviceError):
    """The device's host key differs from the one in known_hosts: reinstalled, or another machine."""


class AuthenticationFailed(DeviceError):
    """The device does not accept any of the user's keys."""


class ConnectionCut(DeviceError):
    """The connection ended in the middle of a command."""


class DeviceTimeout(DeviceError):
    """A command on the device took longer than it may."""


class DeviceAnswerError(DeviceError):
    """What a device answered makes no sense, or never ends."""


class DeviceThrottled(DeviceError):
    """The device throttled while it was measured, so the measurement is not valid."""


class LeaseLost(DeviceError):
    """Another took the board while this process used it: what was measured meanwhile is not valid."""


class DeviceUnfit(DeviceError):
    """The board should not be used now: it is hot, or its last self-test failed."""


class DeviceDiskFull(DeviceError):
    """No space left on the device."""


class DeviceCommandFailed(DeviceError):
    """A command on the device failed; the message has the command and its output."""
