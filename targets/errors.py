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


class DeviceError(TargetError):
    """Something about a device reached over a network."""


class DeviceAddressError(DeviceError):
    """What was given is no address of a device."""


class DeviceUnreachable(DeviceError):
    """Nothing answers at the device's address."""


class HostKeyUnknown(DeviceError):
    """The device's host key is not in known_hosts: nobody has yet said that this is the right machine."""


class HostKeyChanged(DeviceError):
    """The device's host key is not the one in known_hosts: set up again, or another machine."""


class AuthenticationFailed(DeviceError):
    """The device does not accept any of the user's keys."""


class ConnectionCut(DeviceError):
    """The connection ended in the middle of a command."""


class DeviceTimeout(DeviceError):
    """A command on the device took longer than it may."""


class DeviceThrottled(DeviceError):
    """The device slowed itself down while it was measured: what was measured is no result."""


class DeviceDiskFull(DeviceError):
    """There is no room left on the device."""


class DeviceCommandFailed(DeviceError):
    """A command on the device failed; the text says which, and what it said."""
