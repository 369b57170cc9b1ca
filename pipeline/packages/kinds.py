"""The kinds of packages that can be made of a bundle. A new kind is one module and one line here."""

from collections.abc import Callable, Mapping
from importlib import import_module

from calibration.errors import did_you_mean
from pipeline.errors import UsageError
from targets.runtime.bundle.archive import OpenBundle

Writer = Callable[[OpenBundle], Mapping[str, bytes]]
"""Returns the files of a package by their path below its folder. Raises UsageError for a bundle without what
it needs."""

KINDS = {
    "container": "a folder to build a container image from, on JetPack 5, 6 or 7",
    "deb": "packages for Debian and its derivatives: library, headers, service with a unit, network",
    "deepstream": "settings of nvinfer and nvdspreprocess, and what their engine is built from",
    "oci": "a container image of the service and the engine alone",
    "triton": "a model repository for Triton Inference Server",
    "wheel": "libedgec and its binding for Python, for pip",
}
"""What each kind is, by name. The module `pipeline.packages.NAME` has its function `files`."""


def check_kinds(names: tuple[str, ...]) -> None:
    """Raise UsageError for a name that is not in KINDS, or is there twice."""
    for name in names:
        if name not in KINDS:
            raise UsageError(
                f"There is no package {name!r}.{did_you_mean(name, KINDS)} Allowed: {', '.join(KINDS)}."
            )
    if len(set(names)) < len(names):
        raise UsageError(f"package is {list(names)}: give each kind once.")


def writer_of(name: str) -> Writer:
    """Return what makes a package of this kind."""
    found: Writer = import_module(f"pipeline.packages.{name}").files
    return found
