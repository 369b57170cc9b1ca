"""All targets by name. Listing them loads no toolchain."""

from collections.abc import Callable
from functools import partial

from targets.base import Target
from targets.devices import boards, jetsons
from targets.errors import UnknownTarget
from targets.reference import ReferenceTarget
from targets.tensorrt.target import JetsonTarget
from targets.tvm.target import ArmTarget, HostTarget

_TARGETS: dict[str, Callable[[], Target]] = {
    "reference": ReferenceTarget,
    "host": HostTarget,
    **{name: partial(ArmTarget, board) for name, board in boards().items()},
    **{name: partial(JetsonTarget, module) for name, module in jetsons().items()},
}


def names() -> list[str]:
    """Return the names of all targets, in the order they are shown."""
    return list(_TARGETS)


def find_target(name: str) -> Target:
    """Return the target called `name`. Raises UnknownTarget."""
    if name not in _TARGETS:
        raise UnknownTarget(name, names())
    return _TARGETS[name]()
