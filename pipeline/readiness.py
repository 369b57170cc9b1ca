"""Is everything here that a build needs?"""

import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.cache.own_code import ROOT
from pipeline.data.embedded import EMBEDDED
from pipeline.models.zoo import KNOWN_MODELS
from targets.errors import TargetUnavailable
from targets.processor import LIMIT, cpu_flags, cpu_name
from targets.reference import ReferenceTarget
from targets.registry import find_target, names

INT8_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8", "avx2", "i8mm", "asimddp")
FREE_GIB = 1.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `fine` is None where it is only worth knowing."""

    what: str
    found: str
    fine: bool | None
    advice: str = ""


def findings(out: Path) -> list[Finding]:
    """Look at Python, packages, targets, data, the disk that `out` is on, and the processor."""
    return [_python(), *_packages(), *_targets(), _data(), _disk(out), _processor(), _exactness()]


def _python() -> Finding:
    fine = platform.python_version_tuple()[:2] == ("3", "11")
    return Finding("Python", platform.python_version(), fine, "" if fine else "the pins are for Python 3.11")


def _packages() -> Iterator[Finding]:
    """Compare what is installed with constraints.txt; only what differs is worth a line each."""
    pins = re.findall(r"^([\w.-]+)==([\w.+-]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    wrong = []
    for name, pinned in pins:
        try:
            found = version(name).partition("+")[0]  # torch adds +cpu
        except PackageNotFoundError:
            found = "missing"
        if found != pinned:
            wrong.append(Finding(name, found, False, f"pinned is {pinned}: run `make setup`"))
    yield from wrong
    if not wrong:
        yield Finding("packages", f"{len(pins)} as pinned", True)


def _targets() -> Iterator[Finding]:
    for name in names():
        try:
            find_target(name).check()
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
    """Say how onnxruntime runs quantised graphs exactly on this processor."""
    try:
        settings = ReferenceTarget().settings()
    except TargetUnavailable as error:
        return Finding("onnxruntime", "not exact", False, str(error))
    return Finding("onnxruntime", f"quantised graphs are exact with {settings.words}", True)
