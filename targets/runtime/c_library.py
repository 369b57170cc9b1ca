"""Small libraries in C: they lie beside the runtime in a bundle, or are compiled once for the user."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Callable, Iterator

from .named_folder import WrongVariable, named_folder

MACHINES = ("x86_64", "aarch64")
"""Those that there are libraries for."""
GLIBC = "2.28"
"""The oldest C library a board may have: Debian 10, JetPack 5, RHEL 8."""


@dataclass(frozen=True)
class CompiledOnce:
    """What a compiler makes of sources, in a folder of the user's that is named after their digest."""

    name: str
    sources: tuple[Path, ...]
    options: tuple[str, ...]
    compile: Callable[[str, Path], None]
    """Writes the products for a machine into an empty folder. Raises OSError."""

    def folder(self, machine: str) -> Path:
        """Return the folder with the products, compiled if need be. Raises OSError where that cannot be."""
        if machine not in MACHINES or not all(path.is_file() for path in self.sources):
            raise OSError("its C sources are missing, or the processor is not supported")
        content = b"".join(path.read_bytes() for path in self.sources) + repr(self.options).encode()
        try:
            above = named_folder("XDG_CACHE_HOME", Path.home() / ".cache") / "edgec"
        except WrongVariable as error:
            raise OSError(str(error)) from error
        made = above / f"{self.name}-{machine}-{hashlib.sha256(content).hexdigest()[:16]}"
        if made.is_dir():
            return made
        if find_spec("ziglang") is None:
            raise OSError("there is no C compiler (ziglang)")
        above.mkdir(parents=True, exist_ok=True)
        with _alone(above / f"{self.name}-{machine}.lock"):
            if not made.is_dir():
                self._make(machine, made)
        return made

    def _make(self, machine: str, made: Path) -> None:
        with tempfile.TemporaryDirectory(dir=str(made.parent)) as scratch:
            product = Path(scratch) / "product"
            product.mkdir()
            self.compile(machine, product)
            try:
                product.replace(made)
            except OSError:  # another process was faster, where files have no locks: its product is the same
                if not made.is_dir():
                    raise


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait while another process compiles the same: that takes half a minute, and two at once twice as long.

    Each product has a lock of its own, for a product may need another one: edgec-serve needs libedgec.
    """
    descriptor = os.open(str(lock), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        with suppress(OSError):  # some file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
