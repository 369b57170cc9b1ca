"""edgec-serve for a machine: a bundle as an HTTP service, in one static program."""

from __future__ import annotations

from pathlib import Path

from .c_library import CompiledOnce
from .compiled_libedgec import ARCHIVE, COMPILED, LIBRARY
from .zig import run_zig

SERVICE = "edgec-serve"
SERVICE_SOURCES = tuple(sorted((Path(__file__).parent / "serve").glob("*.c")))
_HEADERS = tuple(sorted((Path(__file__).parent / "serve").glob("*.h")))
_OPTIONS = ("-static", "-s", "-O2", "-fno-sanitize=all")
"""Those of the other static programs, which zig has the C library for."""


def compile_service(machine: str, folder: Path) -> None:
    """Write the program into a folder. Its bytes depend on the sources and zig alone. Raises OSError."""
    target = ("-target", f"{machine}-linux-musl", *_OPTIONS, "-std=c11", "-pthread")
    sources = [*SERVICE_SOURCES, COMPILED.folder(machine) / ARCHIVE]
    result = run_zig([*target, f"-I{LIBRARY}"], sources, folder / SERVICE)
    if result.returncode:
        raise OSError(f"zig cannot make {SERVICE}: {result.stderr[-2000:]}")
    (folder / SERVICE).chmod(0o755)


COMPILED_SERVICE = CompiledOnce(
    SERVICE, (*SERVICE_SOURCES, *_HEADERS, *COMPILED.sources), (*_OPTIONS, *COMPILED.options), compile_service
)
