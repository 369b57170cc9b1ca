"""Checks whether this machine has everything that a build needs."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from pipeline.data.embedded import EMBEDDED, INSTALLED, WITH_US
from pipeline.extras import EXTRA_OF, NEEDED_FOR, ONLY_FOR
from pipeline.models.zoo import KNOWN_MODELS
from targets.base import Origin
from targets.errors import TargetUnavailable
from targets.processor import LIMIT, cpu_flags, cpu_name
from targets.reference import ReferenceTarget
from targets.registry import find_target, names
from targets.tvm.cpu_target import ArmTarget

INT8_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8", "avx2", "i8mm", "asimddp")
FREE_GIB = 1.0
OLDEST, NEWEST = (3, 11), (3, 14)
"""The versions of Python that all pinned packages have wheels for, on x86_64 and aarch64."""


@dataclass(frozen=True)
class Finding:
    """The result of a check. `fine` is None if it is only information."""

    what: str
    found: str
    fine: bool | None
    advice: str = ""


def findings(out: Path) -> list[Finding]:
    """Check Python, packages, targets, data, the disk of `out`, and the processor."""
    return [_python(), *_packages(), *_extras(), *_targets(), _data(), _disk(out), _processor(), _exactness()]


def _python() -> Finding:
    fine = OLDEST <= sys.version_info[:2] <= NEWEST
    known = f"the pinned packages are for Python {_dotted(OLDEST)} to {_dotted(NEWEST)}"
    return Finding("Python", platform.python_version(), fine, "" if fine else known)


def _dotted(python: tuple[int, int]) -> str:
    return ".".join(map(str, python))


def _packages() -> Iterator[Finding]:
    """Compare installed packages with constraints.txt; each difference has a line.

    In a checkout a difference is wrong: `make setup` puts it right. Beside an installed wheel it is only
    worth knowing, and packages for tests alone may be missing.
    """
    pins = pinned_for(sys.version_info[:2], (WITH_US / "constraints.txt").read_text(), platform.machine())
    different = []
    for name, pinned in pins:
        try:
            found = version(name).partition("+")[0]  # torch adds +cpu
        except PackageNotFoundError:
            if INSTALLED:
                continue
            found = "missing"
        if found != pinned and INSTALLED:
            different.append(Finding(name, found, None, f"tested with {pinned}"))
        elif found != pinned:
            different.append(Finding(name, found, False, f"pinned is {pinned}: run `make setup`"))
    yield from different
    if not different:
        yield Finding("packages", f"{len(pins)} as pinned", True)


PIN = re.compile(
    r"""^([\w.-]+)==([\w.+-]+)(?:; python_version < "3\.(\d+)")?(?:; platform_machine == "(\w+)")?$""",
    re.MULTILINE,
)


def pinned_for(python: tuple[int, int], constraints: str, machine: str = "x86_64") -> list[tuple[str, str]]:
    """Return (package, version) of each line of constraints that holds for a Python, such as (3, 12)."""
    return [
        (name, pin)
        for name, pin, below, only in PIN.findall(constraints)
        if (not below or python < (3, int(below))) and only in ("", machine)
    ]


def _extras() -> Iterator[Finding]:
    """Say what each extra that is not installed is needed for. A build from ONNX for a CPU needs none."""
    machine = platform.machine()
    for extra, purpose in NEEDED_FOR.items():
        brought = [package for package, brought_by in EXTRA_OF.items() if brought_by == extra]
        there_are = [one for one in brought if ONLY_FOR.get(one, machine) == machine]
        missing = [package for package in there_are if not find_spec(package)]
        if not there_are:
            yield Finding(f"extra {extra}", f"there is none for {machine}: {purpose}", None)
        elif missing:
            what = f"{', '.join(missing)} missing: {purpose}"
            yield Finding(f"extra {extra}", what, None, f"pip install 'edgec[{extra}]'")
        else:
            yield Finding(f"extra {extra}", "installed", True)


def _targets() -> Iterator[Finding]:
    for name in names():
        try:
            target = find_target(name)
            target.check()
            if isinstance(target, ArmTarget) and target.origin is Origin.HOST:
                advice = "to run the engine that ships: apt install qemu-user"
                yield Finding(f"target {name}", "builds, but nothing emulates it here", None, advice)
            else:
                yield Finding(f"target {name}", "ready", True)
        except TargetUnavailable as error:
            yield Finding(f"target {name}", "not available", None, str(error))


def _data() -> Finding:
    missing = [
        m.weights for m in KNOWN_MODELS if m.data == EMBEDDED and not (EMBEDDED / str(m.weights)).is_file()
    ]
    if missing:
        return Finding(
            "embedded data", f"{', '.join(map(str, missing))} missing", False, "restore data/ from git"
        )
    return Finding("embedded data", str(EMBEDDED), True)


def _disk(out: Path) -> Finding:
    folder = next(place for place in (out.absolute(), *out.absolute().parents) if os.path.lexists(place))
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return Finding(f"disk {folder}", "not writable", False, "choose another folder with --out")
    free = shutil.disk_usage(folder).free / 2**30
    advice = "" if free >= FREE_GIB else f"a build may need {FREE_GIB:g} GiB"
    return Finding(f"disk {folder}", f"{free:.1f} GiB free", free >= FREE_GIB, advice)


def _processor() -> Finding:
    flags = [flag for flag in INT8_FLAGS if flag in cpu_flags()]
    limit = os.environ.get(LIMIT)
    limited = f"; engines limited to {limit} by {LIMIT}" if limit else ""
    return Finding("processor", f"{cpu_name()}; {', '.join(flags) or 'no INT8 instructions'}{limited}", None)


def _exactness() -> Finding:
    """Return the settings with which onnxruntime is exact on this processor."""
    try:
        settings = ReferenceTarget().settings()
    except TargetUnavailable as error:
        return Finding("onnxruntime", "not exact", False, str(error))
    return Finding("onnxruntime", f"quantised graphs are exact with {settings.words}", True)
