"""libedgec for a machine: the shared library and the archive, of the same object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .c_library import GLIBC, CompiledOnce
from .cpu import MACHINES, NEEDED
from .zig import archive, run_zig

if TYPE_CHECKING:
    import subprocess

SHARED, ARCHIVE = "libedgec.so.1", "libedgec.a"
FOR_LINKERS = ("libedgec.so", f"INPUT({SHARED})\n")
"""The name that -ledgec looks for, and its content: a linker script, as bundles have no links."""
_HERE = Path(__file__).parent
LIBRARY = _HERE / "libedgec"
"""Its own sources, and its headers edgec.h and edgec.hpp."""
NATIVE = _HERE / "native"
ADAPTERS = _HERE / "adapters"
"""Sources that call libedgec alone; they are compiled where what they adapt to is installed."""
DECODERS = (
    "exif.c",
    "png.c",
    "png_pixels.c",
    "inflate.c",
    "jpeg.c",
    "jpeg_bits.c",
    "jpeg_scan.c",
    "jpeg_inverse.c",
    "jpeg_pixels.c",
)
"""What decodes picture files."""
_OF_ENGINES = ("executor.c", "workers.c", "footer.c", "fit.c", "resize.c")
SOURCES = (*sorted(LIBRARY.glob("*.c")), *(NATIVE / name for name in (*_OF_ENGINES, *DECODERS)))
_HEADERS = (*sorted(LIBRARY.glob("*.h")), *sorted(NATIVE.glob("*.h")))
OPTIONS = ("-std=c11", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-sanitize=all", "-g0")
"""-fPIC in the archive, too: it may become a part of a shared library, such as a plugin."""
_PROCESSORS = {"x86_64": ("-mcpu=x86_64_v2",), "aarch64": ("-mno-outline-atomics",)}
"""The least that any engine for the machine needs. Helpers of GCC's run time are not called."""


def definitions(machine: str) -> tuple[str, ...]:
    """Return the compiler's words for a machine's instruction sets and the processor flags of each."""
    rows = (
        f'{{"{name}", {" | ".join(f"FLAG({flag})" for flag in sorted(needed))}}}'
        for name, needed in NEEDED.items()
        if MACHINES.get(name, "aarch64") == machine
    )
    return (f"-DINSTRUCTION_SETS={', '.join(rows)}",)


def compile_library(machine: str, folder: Path) -> None:
    """Write both files into a folder. Their bytes depend on the sources and zig alone. Raises OSError."""
    target = ("-target", f"{machine}-linux-gnu.{GLIBC}")
    compiled = folder / "libedgec.o"
    includes = (f"-I{LIBRARY}", f"-I{NATIVE}", *definitions(machine))
    _check(run_zig([*target, *_PROCESSORS[machine], *OPTIONS, *includes, "-r"], SOURCES, compiled))
    _check(run_zig([*target, "-shared", "-s", f"-Wl,-soname,{SHARED}", "-lm"], [compiled], folder / SHARED))
    _check(archive([compiled], folder / ARCHIVE))
    compiled.unlink()


def embedding(machine: str) -> dict[str, bytes]:
    """Return what programs and frameworks embed a network with, by paths. Raises OSError."""
    made = COMPILED.folder(machine)
    return {
        **{f"lib/{name}": (made / name).read_bytes() for name in (SHARED, ARCHIVE)},
        f"lib/{FOR_LINKERS[0]}": FOR_LINKERS[1].encode(),
        "lib/pkgconfig/edgec.pc": (LIBRARY / "edgec.pc").read_bytes(),
        **{f"include/{name}": (LIBRARY / name).read_bytes() for name in ("edgec.h", "edgec.hpp")},
        **{
            f"adapters/{path.relative_to(ADAPTERS).as_posix()}": path.read_bytes()
            for path in sorted(ADAPTERS.rglob("*"))
            if path.is_file() and path.suffix != ".so"
        },
    }


def _check(result: subprocess.CompletedProcess[str]) -> None:
    if result.returncode:
        raise OSError(f"zig cannot compile libedgec: {result.stderr[-2000:]}")


_ALL_OPTIONS = (
    *OPTIONS,
    repr(_PROCESSORS),
    *(word for machine in _PROCESSORS for word in definitions(machine)),
)
COMPILED = CompiledOnce("libedgec", (*SOURCES, *_HEADERS), _ALL_OPTIONS, compile_library)
