"""Run an engine that carries its own machine code, through ctypes."""

import ctypes
import json
import os
import struct
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

import numpy as np

FOOTER = struct.Struct("<9Q8s")
MAGIC = b"EDGEC\0\0\1"


class NativeRunner:
    """An opened engine. Not for use from two threads at once."""

    def __init__(self, library: Any, metadata: Dict[str, Any]) -> None:
        self.metadata = metadata
        self._library = library
        self._image = tuple(metadata["image"])
        self._classes = int(metadata["classes"])
        self._busy = threading.Lock()

    def infer(self, images: "np.ndarray[Any, np.dtype[np.uint8]]") -> "np.ndarray[Any, np.dtype[np.float32]]":
        """Return logits [N, classes] for images [N, H, W, C] of raw pixels."""
        if images.dtype != np.uint8 or images.shape[1:] != self._image:
            size = ", ".join(map(str, self._image))
            raise ValueError(
                "images are %s %s; this engine needs uint8 [N, %s]" % (images.dtype, list(images.shape), size)
            )
        pixels = np.ascontiguousarray(images)
        logits = np.empty((len(pixels), self._classes), np.float32)
        with self._busy:
            for image, row in zip(pixels, logits):
                self._library.edgec_run(image.ctypes.data, row.ctypes.data)
        return logits


@contextmanager
def open_engine(engine: Path, threads: int = 1) -> Iterator[NativeRunner]:
    """Load an engine file. Raises ValueError, saying what is wrong with the file."""
    metadata, code = read_engine(engine)
    # From memory: several engines can be open, and a rebuilt file does not change a loaded one.
    memory = os.memfd_create("edgec-engine")
    try:
        os.write(memory, code)
        library = ctypes.CDLL("/proc/self/fd/%d" % memory)
    except OSError as error:
        raise ValueError("%s cannot be loaded on this machine: %s" % (engine, error)) from error
    finally:
        os.close(memory)
    library.edgec_open.restype = ctypes.c_char_p
    library.edgec_run.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    library.edgec_run.restype = None
    message = library.edgec_open(os.fsencode(str(engine)), threads)
    if message:
        raise ValueError("%s: %s" % (engine, message.decode()))
    try:
        yield NativeRunner(library, metadata)
    finally:
        library.edgec_close()


def read_engine(engine: Path) -> Tuple[Dict[str, Any], bytes]:
    """Return an engine's metadata and its shared library. Raises ValueError."""
    with engine.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < FOOTER.size:
            raise ValueError("%s is too short for an engine" % engine)
        file.seek(size - FOOTER.size)
        numbers = FOOTER.unpack(file.read(FOOTER.size))
        if numbers[-1] != MAGIC:
            raise ValueError("%s is no edgec engine of this version, or it was cut off" % engine)
        parts = []
        for offset, length in ((numbers[7], numbers[8]), (numbers[1], numbers[2])):
            if offset + length > size:
                raise ValueError("%s is damaged" % engine)
            file.seek(offset)
            parts.append(file.read(length))
    try:
        metadata = json.loads(parts[0])
    except ValueError as error:
        raise ValueError("%s is damaged" % engine) from error
    return metadata, parts[1]
