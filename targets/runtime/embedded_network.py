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
from ctypes import addressof, byref, c_char
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

PIXELS = ("RGB", "BGR", "GRAY", "RGBA", "BGRA", "NV12", "I420", "YUYV", "UYVY")
MATRICES = ("BT601", "BT709")
RANGES = ("LIMITED", "FULL")
FITS = ("pad", "letterbox", "crop", "stretch")
VERSION = 1
"""The major version of the library that this file knows."""
_SAMPLES = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "YUYV": 2, "UYVY": 2}
"""Bytes of a pixel in the first plane, where there are several."""
_PLANES = ("plane_0", "plane_1", "plane_2")
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


class FrameStruct(ctypes.Structure):
    """edgec_frame."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("pixels", "matrix", "range")),
        *((name, ctypes.c_int32) for name in ("height", "width")),
        *((name, ctypes.c_void_p) for name in _PLANES),
        *((name, ctypes.c_size_t) for name in ("stride_0", "stride_1", "stride_2")),
        *((name, ctypes.c_int32) for name in ("top", "left", "crop_height", "crop_width")),
    )


class ClassStruct(ctypes.Structure):
    """edgec_class."""

    _fields_ = (("index", ctypes.c_int32), ("probability", ctypes.c_float))


@dataclass(frozen=True)
class EmbeddedFrame:
    """A frame as a camera gives it; see edgec_frame.

    planes are uint8 arrays [rows, ...], whose rows may be apart: [H, W, 3] for RGB and BGR, [H, W, 4] for
    RGBA and BGRA, [H, W] for GRAY, [H, W] and [H / 2, W / 2, 2] for NV12, [H, W] and two of [H / 2, W / 2]
    for I420, [H, W, 2] for YUYV and UYVY. matrix ("BT601", "BT709") and range ("LIMITED", "FULL") have to be
    given for the last four. crop is (top, left, height, width).
    """

    pixels: str
    planes: Sequence[Plane]
    matrix: str | None = None
    range: str | None = None
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def described(self) -> FrameStruct:
        """The frame for the library; of a tuple of planes it is made once. Raises ValueError for wrong
        arrays, which the library could not recognise.
        """
        found: FrameStruct | None = self.__dict__.get("_described")
        if found is None:
            found = self._describe()
            if isinstance(self.planes, tuple):
                self.__dict__["_described"] = found
        return found

    def _describe(self) -> FrameStruct:
        """Beside a frame that fills the caches each Python call here takes a microsecond or more."""
        planes = self.planes
        shapes = tuple([plane.shape for plane in planes])
        strides = tuple([plane.strides for plane in planes])
        layout = _layout(self.pixels, self.matrix, self.range, tuple(self.crop), shapes, strides)
        described = FrameStruct.from_buffer_copy(layout)
        for name, plane in zip(_PLANES, planes):
            if plane.dtype.char != "B":
                raise ValueError(f"planes of {self.pixels} are uint8 {list(shapes)}, not {plane.dtype}")
            setattr(described, name, _address(plane))
        return described


def _address(array: Any) -> int:
    """Return where an array begins. The second way takes three times as long."""
    try:
        return addressof(c_char.from_buffer(array))
    except (TypeError, ValueError):  # it is read only, has gaps, or is empty
        return int(array.ctypes.data)


@lru_cache(maxsize=64)
def _layout(
    pixels: str,
    matrix: str | None,
    limits: str | None,
    crop: tuple[int, int, int, int],
    shapes: tuple[tuple[int, ...], ...],
    strides: tuple[tuple[int, ...], ...],
) -> FrameStruct:
    """Return a frame without addresses. Raises ValueError."""
    height, width = shapes[0][:2]
    described = FrameStruct(
        _number(pixels, PIXELS, "pixels"),
        _number(matrix, MATRICES, "matrix"),
        _number(limits, RANGES, "range"),
        height,
        width,
    )
    halves = ((height + 1) // 2, (width + 1) // 2)
    samples = _SAMPLES.get(pixels)
    more: dict[str, tuple[tuple[int, ...], ...]] = {"NV12": ((*halves, 2),), "I420": (halves, halves)}
    first = (height, width) if samples is None else (height, width, samples)
    wanted = (first, *more.get(pixels, ()))
    if shapes != wanted:
        raise ValueError(f"planes of {pixels} are uint8 {list(wanted)}, not {list(shapes)}")
    if samples == 2 and width % 2:
        raise ValueError(f"{pixels} has two pixels beside each other; the width is {width}")
    for n, (shape, stride) in enumerate(zip(shapes, strides)):
        inner = (1,) if len(shape) == 2 else (shape[2], 1)
        if stride[1:] != inner or stride[0] < 0:
            raise ValueError("pixels of a row have to lie beside each other, and rows below each other")
        setattr(described, f"stride_{n}", stride[0])
    described.top, described.left, described.crop_height, described.crop_width = crop
    return described


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
        status = self._run_frame(self._handle, byref(described), _address(logits), byref(error))
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


def _number(name: str | None, names: Sequence[str], what: str) -> int:
    if name is None:
        return 0
    if name not in names:
        raise ValueError(f"{what} is {name!r}; allowed: {', '.join(names)}")
    return names.index(name) + 1


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
