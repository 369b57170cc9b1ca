"""Run an engine that carries its own machine code, through ctypes."""

from __future__ import annotations

import _ctypes
import ctypes
import json
import os
import struct
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .cpu import MACHINES, why_not
from .device_limits import ENGINE_TEXT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

FOOTER = struct.Struct("<9Q8s")
MAGIC = b"EDGEC\0\0\2"
EXACT = True
"""Logits are the same on every machine, to the last bit."""


_ROUNDS = 7
_SECONDS_A_ROUND = 0.0005


@dataclass(frozen=True)
class LayerTime:
    """The time of one layer on one thread: the median of a few rounds, each long enough for the clock."""

    layer: str
    int8: bool
    """Whether it computes with integers."""
    macs: int
    microseconds: float


class EngineHandle(ctypes.Structure):
    """edgec_engine of native/engine_file.h."""

    _fields_ = (("constants", ctypes.c_void_p), ("executor", ctypes.c_void_p))


class NativeRunner:
    """An opened engine. Not for use from two threads at once."""

    def __init__(self, library: ctypes.CDLL, handle: EngineHandle, metadata: dict[str, Any]) -> None:
        self.metadata = metadata
        self._library = library
        self._executor = ctypes.c_void_p(handle.executor)
        self._image = tuple(metadata["image"])
        self._logits = np.empty(int(metadata["classes"]), np.float32)
        self._logits_at = self._logits.ctypes.data  # cached: NumPy takes a microsecond for this
        self._busy = threading.Lock()

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits [N, classes] for images [N, H, W, C] of raw pixels."""
        if images.dtype != np.uint8 or images.shape[1:] != self._image:
            size = ", ".join(map(str, self._image))
            raise ValueError(
                f"images are {images.dtype} {list(images.shape)}; this engine needs uint8 [N, {size}]"
            )
        pixels = np.ascontiguousarray(images)
        logits = np.empty((len(pixels), len(self._logits)), np.float32)
        address = pixels.ctypes.data
        with self._busy:
            for n in range(len(pixels)):
                self._library.edgec_executor_run(
                    self._executor, address + n * pixels.strides[0], self._logits_at
                )
                logits[n] = self._logits
        return logits

    def layer_times(self, image: NDArray[np.uint8]) -> list[LayerTime]:
        """Time every layer alone on an image [H, W, C], repeatedly, so that its data is in the caches.

        The time of some depends on the values that they read. Steps are timed in their order, so each reads
        what those before it have just written: what it reads in a run.
        """
        pixels = np.ascontiguousarray(image)[None]
        self.infer(pixels)  # so that the library knows where the image is
        found: dict[str, LayerTime] = {}
        with self._busy:
            for step, layer in enumerate(self.metadata["layers"]):
                before = found.get(layer["node"], LayerTime(layer["node"], True, 0, 0.0))
                found[layer["node"]] = LayerTime(
                    layer["node"],
                    before.int8 and layer["int8"],
                    before.macs + layer["macs"],
                    before.microseconds + self._time(step),
                )
        return list(found.values())

    def _time(self, step: int) -> float:
        once = self._library.edgec_executor_time_step(self._executor, step, 1) * 1e-9
        runs = max(1, min(10_000, int(_SECONDS_A_ROUND / max(once, 1e-9))))
        time_step = self._library.edgec_executor_time_step
        rounds = [time_step(self._executor, step, runs) for _ in range(_ROUNDS)]
        return float(np.median(rounds)) * 1e-3


@contextmanager
def open_engine(engine: Path, threads: int = 1) -> Iterator[NativeRunner]:
    """Load an engine file. Raises ValueError, saying what is wrong with the file."""
    metadata, code = read_engine(engine)
    reason = why_not(metadata["isa"])
    if reason:
        raise ValueError(f"{engine} does not run here: {reason}")
    # From memory: a rebuilt file does not change a loaded engine. The loader knows libraries by their path,
    # so the descriptor in it stays open as long as the library: or the next engine would be this one.
    memory = os.memfd_create("edgec-engine")
    try:
        os.write(memory, code)
        library = _load(memory, engine)
        handle = EngineHandle()
        try:
            message = library.edgec_engine_open(os.fsencode(str(engine)), threads, ctypes.byref(handle))
            if message:
                raise ValueError(f"{engine}: {message.decode()}")
            yield NativeRunner(library, handle, metadata)
        finally:
            library.edgec_engine_close(ctypes.byref(handle))
            _ctypes.dlclose(library._handle)
    finally:
        os.close(memory)


def _load(memory: int, engine: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(f"/proc/self/fd/{memory}")
    except OSError as error:
        raise ValueError(f"{engine} cannot be loaded on this machine: {error}") from error
    library.edgec_engine_open.restype = ctypes.c_char_p
    library.edgec_executor_run.argtypes = (ctypes.c_void_p,) * 3
    library.edgec_executor_run.restype = None
    library.edgec_executor_time_step.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int)
    library.edgec_executor_time_step.restype = ctypes.c_double
    return library


def machine_of(engine: Path) -> str:
    """Return the machine that an engine is for, as `uname -m` calls it. Raises ValueError."""
    return MACHINES.get(read_engine(engine)[0]["isa"], "aarch64")


def read_engine(engine: Path) -> tuple[dict[str, Any], bytes]:
    """Return an engine's metadata and its shared library. Raises ValueError."""
    with engine.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < FOOTER.size:
            raise ValueError(f"{engine} is too short for an engine")
        file.seek(size - FOOTER.size)
        numbers = FOOTER.unpack(file.read(FOOTER.size))
        if numbers[-1] != MAGIC:
            raise ValueError(f"{engine} is not an edgec engine of this version, or it is truncated")
        parts = []
        for offset, length, most in ((numbers[7], numbers[8], ENGINE_TEXT_BYTES), (*numbers[1:3], size)):
            if length > most or offset + length > size:
                raise ValueError(f"{engine} is damaged")
            file.seek(offset)
            parts.append(file.read(length))
    try:
        metadata = json.loads(parts[0])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{engine} is damaged") from error
    return metadata, parts[1]
