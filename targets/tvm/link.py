"""Compiles the C runtime and links engines with zig, for any target and without a system toolchain."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from targets.errors import EngineError, NotInstalled
from targets.runtime.compiled_libedgec import DECODERS
from targets.runtime.zig import run_zig
from targets.tvm.isa import Isa

NATIVE = Path(__file__).parent.parent / "runtime" / "native"
_GLIBC = "2.28"
"""The oldest C library a board may have: Debian 10, JetPack 5, RHEL 8."""
ENGINE = ("executor.c", "workers.c", "footer.c", "engine_file.c")
PICTURES = ("picture.c", *DECODERS, "fit.c", "resize.c")
STATIC = ("-static", "-s", "-O2", "-fno-sanitize=all")
"""The same for all static programs: for other flags zig compiles the C library again, for a minute."""


def check() -> None:
    """Raise TargetUnavailable if zig is not installed."""
    if find_spec("ziglang") is None:
        raise NotInstalled("ziglang", "it links engines")


def link_library(objects: Sequence[Path], table: Path, isa: Isa, output: Path) -> None:
    """Link a shared library for Python's ctypes."""
    sources = [table, *(NATIVE / name for name in ENGINE)]
    machine = isa.triple.split("-")[0]
    _zig(["-target", f"{machine}-linux-gnu.{_GLIBC}", "-shared", "-fPIC"], sources, objects, output)


def link_functions(objects: Path, isa: Isa, output: Path) -> None:
    """Link an object into a shared library as it is."""
    machine = isa.triple.split("-")[0]
    _zig(["-target", f"{machine}-linux-gnu.{_GLIBC}", "-shared"], [], [objects], output)


def link_program(objects: Sequence[Path], tables: Sequence[Path], isa: Isa, output: Path) -> None:
    """Link a static command-line program that needs nothing on the board."""
    sources = [*tables, *(NATIVE / name for name in ("main.c", *ENGINE, *PICTURES))]
    machine = isa.triple.split("-")[0]
    _zig(["-target", f"{machine}-linux-musl", *STATIC], sources, objects, output)


def _zig(options: Sequence[str], sources: Sequence[Path], objects: Sequence[Path], output: Path) -> None:
    check()
    common = ["-std=c11", "-O2", "-Wall", "-Wextra", "-s", "-pthread", "-fno-sanitize=all", f"-I{NATIVE}"]
    result = run_zig([*options, *common], [*sources, *objects], output)
    if result.returncode:
        raise EngineError(f"linking {output.name} failed:\n{result.stderr[-2000:]}")
