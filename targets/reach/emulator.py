"""Runs engines for aarch64 under qemu-user. Results are exact; latency is not measured."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from targets.base import EngineRunner
from targets.errors import EngineError, TargetUnavailable
from targets.runtime.native_runner import read_engine

QEMU = "qemu-aarch64"


def is_installed() -> bool:
    """Whether qemu-user is installed."""
    return shutil.which(QEMU) is not None


def check() -> None:
    """Raise TargetUnavailable if qemu-user is not installed."""
    if not is_installed():
        raise TargetUnavailable(f"{QEMU} is not installed. On Debian and Ubuntu: apt install qemu-user.")


@dataclass(frozen=True)
class EmulatedRunner:
    """The engine's static program in the emulator, one process for each call."""

    engine: Path
    cpu: str
    """The processor to emulate, as in `qemu-aarch64 -cpu`."""
    threads: int = 1

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits [N, classes] for images [N, H, W, C]. Raises EngineError if the program fails."""
        classes, size = read_metadata(self.engine)
        if images.shape[1:] != size or images.dtype != np.uint8:
            raise EngineError(
                f"The images are {images.dtype} {images.shape}; the engine needs uint8 [N, {size}]."
            )
        output = self._program(["logits"], images.tobytes())
        return np.frombuffer(output, "<f4").reshape(len(images), classes).astype(np.float32)

    def selftest(self) -> str:
        """Run the embedded self-test; returns what it printed. Raises EngineError if it fails."""
        return self._program(["selftest"], b"").decode().strip()

    def _program(self, arguments: list[str], data: bytes) -> bytes:
        check()
        command = [
            QEMU,
            "-cpu",
            self.cpu,
            str(self.engine.resolve()),
            *arguments,
            "--threads",
            str(self.threads),
        ]
        result = subprocess.run(command, input=data, capture_output=True, check=False)
        if result.returncode:
            output = (result.stdout + result.stderr).decode(errors="replace")[-500:]
            raise EngineError(
                f"{self.engine} failed under {QEMU} -cpu {self.cpu}: {output or result.returncode}"
            )
        return result.stdout


@dataclass
class CheckedRunner:
    """Runs the host's engine, and checks the bits of the first images' logits in the emulator."""

    emulated: EngineRunner
    host: EngineRunner
    images: int
    """How many images are still to be emulated."""

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits [N, classes]. Raises EngineError if emulator and host differ in any bit."""
        logits = self.host.infer(images)
        count = min(self.images, len(images))
        if count:
            found = self.emulated.infer(images[:count])
            differing = np.flatnonzero((found.view(np.int32) != logits[:count].view(np.int32)).any(axis=1))
            if len(differing):
                raise EngineError(
                    f"Emulator and host differ in {len(differing)} of {count} images, image {differing[0]} "
                    "first: the engine is wrong. This is a bug of edgec's."
                )
            self.images -= count
        return logits


def read_metadata(engine: Path) -> tuple[int, tuple[int, ...]]:
    """The number of classes and the shape of an image. Raises EngineError if the engine file is damaged."""
    try:
        metadata, _ = read_engine(engine)
    except ValueError as error:
        raise EngineError(str(error)) from error
    return int(metadata["classes"]), tuple(metadata["image"])
