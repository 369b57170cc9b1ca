"""All targets by name. Listing them loads no toolchain."""

from collections.abc import Callable

from targets.base import Target
from targets.errors import UnknownTarget
from targets.reference import ReferenceTarget

_TARGETS: dict[str, Callable[[], Target]] = {
    "reference": ReferenceTarget,
}


def names() -> list[str]:
    """Return the names of all targets, in the order they are shown."""
    return list(_TARGETS)


def find_target(name: str) -> Target:
    """Return the target called `name`. Raises UnknownTarget."""
    if name not in _TARGETS:
        raise UnknownTarget(name, names())
    return _TARGETS[name]()
