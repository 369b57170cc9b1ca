"""All targets by name. Listing them loads no toolchain."""

from collections.abc import Callable
from functools import partial

from targets.base import EngineKind, Target
from targets.devices import boards, jetsons
from targets.errors import TargetUnavailable, UnknownTarget
from targets.reach.ssh import SshAddress, SshDevice
from targets.reference import ReferenceTarget
from targets.tensorrt.device import JetsonOnDevice
from targets.tensorrt.jetson_target import JetsonTarget
from targets.tvm.cpu_target import ArmTarget, HostTarget
from targets.tvm.ssh_board import BoardTarget

TARGETS: dict[str, Callable[[], Target]] = {
    "reference": ReferenceTarget,
    "host": HostTarget,
    **{name: partial(ArmTarget, board) for name, board in boards().items()},
    **{name: partial(JetsonTarget, module) for name, module in jetsons().items()},
}

REACHED: dict[str, Callable[[SshDevice], Target]] = {
    **{name: partial(BoardTarget, board) for name, board in boards().items()},
    **{name: partial(JetsonOnDevice, module) for name, module in jetsons().items()},
}
"""Targets that can be devices over SSH."""


def names() -> list[str]:
    """Return the names of all targets, in the order they are shown."""
    return list(TARGETS)


def kind_of_engine(runner: str) -> EngineKind:
    """Return what the engine of a bundle is, which names its runner; of one device for an unknown runner."""
    kinds = {target.runner: target.engine_kind for target in (make() for make in TARGETS.values())}
    return kinds.get(runner, EngineKind.OF_ONE_DEVICE)


def find_target(name: str, device: str | None = None) -> Target:
    """Return the target called `name`; with `device`, an ssh://..., the one that runs there.

    Raises UnknownTarget, TargetUnavailable for a target that is not reached over SSH, DeviceAddressError.
    """
    if name not in TARGETS:
        raise UnknownTarget(name, names())
    if device is None:
        return TARGETS[name]()
    if name not in REACHED:
        raise TargetUnavailable(f"{name} is not reached over SSH. --device is for {', '.join(REACHED)}.")
    return REACHED[name](SshDevice(SshAddress.parse(device)))
