"""Networks in Python by libedgec, the library of edgec.h: the same calls, the same bytes, the same logits.

from runtime.embedded_network import EmbeddedNetwork, EmbeddedFrame

with EmbeddedNetwork("resnet20-fashion-host.edgec") as network, network.context() as context:
    logits = context.run_frame(EmbeddedFrame("NV12", planes, matrix="BT601", range="LIMITED"))
    print(network.likeliest(logits))
"""

from __future__ import annotations

import ctypes
import os
import platform
from ctypes import byref
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .embedded_frame import EmbeddedFrame, FrameStruct, address_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .embedded_frame import Plane

__all__ = [
    "EmbeddedContext",
    "EmbeddedDescription",
    "EmbeddedFrame",
    "EmbeddedNetwork",
    "EmbeddedNetworkError",
    "library",
]

FITS = ("pad", "letterbox", "crop", "stretch")
VERSION = 1
"""The major version of the library that this file knows."""
_SHIPPED = Path(__file__).parent.parent / "lib" / "libedgec.so.1"


class EmbeddedNetworkError(ValueError):
    """What the library refused: `status` is its number, and the message its sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ErrorStruct(ctypes.Structure):
    """edgec_error of edgec.h."""

    _fields_ = (("status", ctypes.c_int), ("text", ctypes.c_char * 240))


class OpenStruct(ctypes.Structure):
    """edgec_open_options."""

    _fields_ = (("size", ctypes.c_size_t), ("sha256", ctypes.c_char_p))


class ContextStruct(ctypes.Structure):
    """edgec_context_options."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("threads", ctypes.c_int32),
        ("max_height", ctypes.c_int32),
        ("max_width", ctypes.c_int32),
    )


class DescriptionStruct(ctypes.Structure):
    """edgec_description."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        *((name, ctypes.c_char_p) for name in ("model", "target", "instructions", "sha256")),
        *((name, ctypes.c_int32) for name in ("height", "width", "channels", "classes")),
        *((name, ctypes.c_int32) for name in ("output_height", "output_width")),
        ("logits", ctypes.c_size_t),
        ("fit", ctypes.c_int),
        ("resize", ctypes.c_int32),
        ("border", ctypes.c_uint8 * 4),
    )


class ClassStruct(ctypes.Structure):
    """edgec_class."""

    _fields_ = (("index", ctypes.c_int32), ("probability", ctypes.c_float))


@dataclass(frozen=True)
class EmbeddedDescription:
    """What a network says about itself; see edgec_description."""

    model: str
    target: str
    instructions: str
    sha256: str
    input: tuple[int, int, int]
    classes: tuple[str, ...]
    output: tuple[int, int, int]
    fit: str
    resize: int
    border: tuple[int, ...]


class EmbeddedNetwork:
    """An opened bundle or engine. Any number of threads may use it."""

    def __init__(self, source: Path | str | bytes, sha256: str | None = None) -> None:
        """Open a path, or the bytes of a .edgec or engine file. Raises EmbeddedNetworkError."""
        self._handle = ctypes.c_void_p()
        self._library = library()
        options = OpenStruct(ctypes.sizeof(OpenStruct), sha256.encode() if sha256 else None)
        error = ErrorStruct()
        rest = (byref(options), byref(self._handle), byref(error))
        if isinstance(source, bytes):
            _check(self._library.edgec_open_memory(source, len(source), *rest), error)
        else:
            _check(self._library.edgec_open(os.fsencode(source), *rest), error)
        self.description = self._describe()

    def _describe(self) -> EmbeddedDescription:
        d = DescriptionStruct(ctypes.sizeof(DescriptionStruct))
        self._library.edgec_describe(self._handle, byref(d))
        names = (self._library.edgec_class_name(self._handle, k) for k in range(d.classes))
        return EmbeddedDescription(
            d.model.decode(),
            d.target.decode(),
            d.instructions.decode(),
            d.sha256.decode(),
            (d.height, d.width, d.channels),
            tuple(str(k) if name is None else name.decode() for k, name in enumerate(names)),
            (d.classes, d.output_height, d.output_width),
            FITS[d.fit],
            d.resize,
            tuple(d.border[: d.channels]),
        )

    def context(self, threads: int = 1, max_size: tuple[int, int] = (2160, 3840)) -> EmbeddedContext:
        """Return a context for frames up to a height and width. Raises EmbeddedNetworkError."""
        options = ContextStruct(ctypes.sizeof(ContextStruct), threads, *max_size)
        handle, error = ctypes.c_void_p(), ErrorStruct()
        rest = (byref(options), byref(handle), byref(error))
        _check(self._library.edgec_context_new(self._handle, *rest), error)
        return EmbeddedContext(self, handle)

    def decode(self, file: bytes) -> EmbeddedFrame:
        """Return the pixels of a JPEG or PNG file, upright. Raises EmbeddedNetworkError."""
        described, error = FrameStruct(), ErrorStruct()
        rest = (file, len(file), byref(described), byref(error))
        _check(self._library.edgec_decode(self._handle, *rest), error)
        height, width, channels = described.height, described.width, self.description.input[2]
        found = np.empty((height, width, channels)[: 2 if channels == 1 else 3], np.uint8)
        ctypes.memmove(found.ctypes.data, described.plane_0, found.nbytes)
        self._library.edgec_free_decoded(byref(described))
        return EmbeddedFrame("GRAY" if channels == 1 else "RGB", (found,))

    def likeliest(self, logits: NDArray[np.float32], top: int = 5) -> list[tuple[str, float]]:
        """Return the `top` likeliest classes of a picture with their probabilities; none for a map."""
        values = np.ascontiguousarray(logits, np.float32)
        if values.size != int(np.prod(self.description.output)):
            raise ValueError(f"there are {values.size} logits; this network has {self.description.output}")
        found = (ClassStruct * top)()
        count = self._library.edgec_likeliest(self._handle, values.ctypes.data, found, top)
        return [(self.description.classes[one.index], one.probability) for one in found[:count]]

    def close(self) -> None:
        """Free the network. Its contexts have to be closed before."""
        self._library.edgec_close(self._handle)
        self._handle = ctypes.c_void_p()

    def __enter__(self) -> EmbeddedNetwork:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EmbeddedContext:
    """The memory with which one thread at a time runs a network."""

    def __init__(self, network: EmbeddedNetwork, handle: ctypes.c_void_p) -> None:
        self._network = network  # which stays as long as this
        self._handle = handle
        self._library = library()
        self._run_frame = self._library.edgec_run_frame
        self._error = ErrorStruct()
        self._input = network.description.input
        classes, height, width = network.description.output
        self._output = (classes,) if height == width == 1 else (classes, height, width)

    def run(self, pixels: Plane) -> NDArray[np.float32]:
        """Return the logits of the network's input, uint8 [H, W, channels]."""
        image = np.ascontiguousarray(pixels)
        if image.dtype != np.uint8 or image.shape != self._input:
            raise ValueError(
                f"pixels are {image.dtype} {image.shape}; this network needs uint8 {self._input}"
            )
        logits = np.empty(self._output, np.float32)
        _check(self._library.edgec_run(self._handle, image.ctypes.data, logits.ctypes.data), ErrorStruct())
        return logits

    def prepare(self, frame: EmbeddedFrame) -> Plane:
        """Return what the network sees of a frame, uint8 [H, W, channels]. Raises EmbeddedNetworkError."""
        pixels, described, error = np.empty(self._input, np.uint8), frame.described, ErrorStruct()
        rest = (byref(described), pixels.ctypes.data, byref(error))
        _check(self._library.edgec_prepare(self._handle, *rest), error)
        return pixels

    def run_frame(self, frame: EmbeddedFrame) -> NDArray[np.float32]:
        """Return the logits of a frame. Raises EmbeddedNetworkError."""
        logits, described, error = np.empty(self._output, np.float32), frame.described, self._error
        status = self._run_frame(self._handle, byref(described), address_of(logits), byref(error))
        if status:
            _check(status, error)
        return logits

    def close(self) -> None:
        """Free the context."""
        self._library.edgec_context_free(self._handle)
        self._handle = ctypes.c_void_p()

    def __enter__(self) -> EmbeddedContext:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check(status: int, error: ErrorStruct) -> None:
    if status:
        text = error.text or library().edgec_status_text(status)
        raise EmbeddedNetworkError(status, text.decode(errors="replace"))


def _compiled() -> Path:
    from .compiled_libedgec import COMPILED, SHARED  # in a checkout: wheels hold neither compiler nor sources

    return COMPILED.folder(platform.machine()) / SHARED


@lru_cache(maxsize=None)
def library() -> Any:
    """Return the opened library: the bundle's, or one that is compiled once for the user. Raises OSError."""
    path = _SHIPPED if _SHIPPED.is_file() else _compiled()
    opened = ctypes.CDLL(str(path))
    if opened.edgec_version() // 1000 != VERSION:
        raise OSError(f"{path} is of version {opened.edgec_version() // 1000}, and not of version {VERSION}")
    pointers = {"edgec_open": 4, "edgec_context_new": 4, "edgec_prepare": 4, "edgec_run_frame": 4}
    for name, count in {**pointers, "edgec_run": 3, "edgec_describe": 2}.items():
        getattr(opened, name).argtypes = (ctypes.c_void_p,) * count
    opened.edgec_open.argtypes = (ctypes.c_char_p, *(ctypes.c_void_p,) * 3)
    opened.edgec_open_memory.argtypes = (ctypes.c_char_p, ctypes.c_size_t, *(ctypes.c_void_p,) * 3)
    opened.edgec_likeliest.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
    opened.edgec_class_name.argtypes = (ctypes.c_void_p, ctypes.c_int32)
    opened.edgec_class_name.restype = opened.edgec_status_text.restype = ctypes.c_char_p
    opened.edgec_decode.argtypes = (
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        *(ctypes.c_void_p,) * 2,
    )
    for name in ("edgec_close", "edgec_context_free", "edgec_free_decoded"):
        getattr(opened, name).argtypes = (ctypes.c_void_p,)
        getattr(opened, name).restype = None
    return opened
