"""The part of the CUDA runtime that inference needs, by ctypes, since JetPack has no Python binding."""

from __future__ import annotations

import ctypes
import re
from contextlib import suppress
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    from numpy.typing import NDArray

LIBRARIES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")
"""Names that the loader is asked for."""
FOLDERS = ("usr/local/cuda*/lib64", "usr/local/cuda*/targets/*/lib")
"""Where JetPack puts the runtime; the loader knows these only after its set-up (ldconfig) was run."""
TO_DEVICE, TO_HOST = 1, 2  # cudaMemcpyKind
MAJOR, MINOR = 75, 76  # cudaDevAttrComputeCapabilityMajor and Minor
INTEGRATED = 18  # cudaDevAttrIntegrated
MAPPED = 2  # cudaHostAllocMapped
CAPTURE_THREAD_LOCAL = 1  # cudaStreamCaptureModeThreadLocal: captures only this thread's calls


class CudaError(RuntimeError):
    """The CUDA runtime is missing, or refused a call."""


SIGNATURES: dict[str, Sequence[Any]] = {
    "cudaMalloc": (POINTER(c_void_p), c_size_t),
    "cudaFree": (c_void_p,),
    "cudaHostAlloc": (POINTER(c_void_p), c_size_t, c_uint),
    "cudaFreeHost": (c_void_p,),
    "cudaHostGetDevicePointer": (POINTER(c_void_p), c_void_p, c_uint),
    "cudaMemcpyAsync": (c_void_p, c_void_p, c_size_t, c_int, c_void_p),
    "cudaStreamCreate": (POINTER(c_void_p),),
    "cudaStreamDestroy": (c_void_p,),
    "cudaStreamSynchronize": (c_void_p,),
    "cudaStreamBeginCapture": (c_void_p, c_int),
    "cudaStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cudaGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_ulonglong),  # the same in CUDA 11 to 13
    "cudaGraphLaunch": (c_void_p, c_void_p),
    "cudaGraphExecDestroy": (c_void_p,),
    "cudaGraphDestroy": (c_void_p,),
    "cudaGetDeviceCount": (POINTER(c_int),),
    "cudaDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cudaRuntimeGetVersion": (POINTER(c_int),),
}


class Cuda:
    """The CUDA runtime. Every call that fails raises CudaError."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        for name, arguments in SIGNATURES.items():
            getattr(library, name).argtypes = list(arguments)
        library.cudaGetErrorString.restype = c_char_p

    @classmethod
    def load(cls, root: Path = Path("/")) -> Cuda:
        """Load the newest CUDA runtime that is installed. Raises CudaError if there is none."""
        for name in (*LIBRARIES, *_installed(root)):
            library = _library(name)
            if library is not None:
                return cls(library)
        places = " or ".join(f"/{folder}" for folder in FOLDERS)
        raise CudaError(
            f"there is no CUDA runtime (libcudart.so) in the loader's path, {places}: "
            "sudo apt install nvidia-jetpack"
        )

    def call(self, name: str, *arguments: object) -> None:
        """Call a function of the runtime. Raises CudaError with its message."""
        code = getattr(self._library, name)(*arguments)
        if code:
            message = self._library.cudaGetErrorString(code) or b"unknown error"
            raise CudaError(f"{name} failed: {message.decode()} ({code})")

    def compute_capability(self) -> str:
        """Return the GPU's architecture, such as "87". Raises CudaError without a GPU."""
        count, major, minor = c_int(), c_int(), c_int()
        self.call("cudaGetDeviceCount", byref(count))
        self.call("cudaDeviceGetAttribute", byref(major), MAJOR, 0)
        self.call("cudaDeviceGetAttribute", byref(minor), MINOR, 0)
        return f"{major.value}{minor.value}"

    def is_integrated(self) -> bool:
        """Whether the GPU shares its memory with the processors, as on every Jetson. Raises CudaError."""
        integrated = c_int()
        self.call("cudaDeviceGetAttribute", byref(integrated), INTEGRATED, 0)
        return bool(integrated.value)

    def version(self) -> str:
        """Return the version of the runtime, such as "12.6"."""
        number = c_int()
        self.call("cudaRuntimeGetVersion", byref(number))
        return f"{number.value // 1000}.{number.value % 1000 // 10}"

    def stream(self) -> int:
        """Return a new stream."""
        return self._new("cudaStreamCreate")

    def device_memory(self, size: int) -> int:
        """Return the address of `size` bytes on the GPU."""
        return self._new("cudaMalloc", size)

    def pinned(self, shape: Sequence[int], dtype: Any) -> NDArray[Any]:
        """Return an array in memory that the GPU reads and writes directly. Free it by `free_pinned`."""
        kind = np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        address = self._new("cudaHostAlloc", size, MAPPED)
        buffer = (ctypes.c_char * size).from_address(address)
        return np.frombuffer(buffer, kind).reshape(tuple(shape))

    def address_on_gpu(self, array: NDArray[Any]) -> int:
        """Return the address at which the GPU reads and writes what `pinned` returned."""
        return self._new("cudaHostGetDevicePointer", array.ctypes.data, 0)

    def free_pinned(self, array: NDArray[Any]) -> None:
        """Free what `pinned` returned."""
        self.call("cudaFreeHost", c_void_p(array.ctypes.data))

    def copy_to_device(self, device: int, host: NDArray[Any], size: int, stream: int) -> None:
        """Copy the first `size` bytes of a pinned array, in the order of the stream."""
        self.call("cudaMemcpyAsync", device, host.ctypes.data, size, TO_DEVICE, stream)

    def copy_to_host(self, host: NDArray[Any], device: int, size: int, stream: int) -> None:
        """Copy `size` bytes into a pinned array, in the order of the stream."""
        self.call("cudaMemcpyAsync", host.ctypes.data, device, size, TO_HOST, stream)

    def synchronize(self, stream: int) -> None:
        """Wait until all work in the stream is done."""
        self.call("cudaStreamSynchronize", stream)

    def _new(self, name: str, *arguments: object) -> int:
        handle = c_void_p()
        self.call(name, byref(handle), *arguments)
        return handle.value or 0


def _installed(root: Path) -> list[str]:
    """Return the runtimes in CUDA's own folders, the newest first."""
    found = [str(path) for folder in FOLDERS for path in root.glob(f"{folder}/libcudart.so*")]
    return sorted(found, key=_version_in, reverse=True)


def _version_in(path: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path)]


def _library(name: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


class Graph:
    """The work put into a stream between `begin` and `end`, which can be launched again as a whole."""

    def __init__(self, cuda: Cuda, stream: int) -> None:
        self._cuda, self._stream = cuda, stream
        self._graph = self._executable = 0
        self._recording = False

    def begin(self) -> None:
        """Record instead of running. The same work has to have run once before."""
        self._cuda.call("cudaStreamBeginCapture", self._stream, CAPTURE_THREAD_LOCAL)
        self._recording = True

    def end(self) -> None:
        """Stop recording. Raises CudaError if something that was put into the stream cannot be recorded."""
        graph, executable = c_void_p(), c_void_p()
        self._recording = False
        self._cuda.call("cudaStreamEndCapture", self._stream, byref(graph))
        self._graph = graph.value or 0
        self._cuda.call("cudaGraphInstantiateWithFlags", byref(executable), self._graph, 0)
        self._executable = executable.value or 0

    def launch(self) -> None:
        """Put all recorded work into the stream."""
        self._cuda.call("cudaGraphLaunch", self._executable, self._stream)

    def abandon(self) -> None:
        """Stop recording and discard it; the stream runs work directly again."""
        if self._recording:
            with suppress(CudaError):  # this is what ends a recording that failed
                self.end()
        self.close()

    def close(self) -> None:
        """Free it."""
        if self._executable:
            self._cuda.call("cudaGraphExecDestroy", self._executable)
        if self._graph:
            self._cuda.call("cudaGraphDestroy", self._graph)
        self._graph = self._executable = 0
