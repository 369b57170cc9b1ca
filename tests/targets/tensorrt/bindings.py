"""Genuine wheels of NVIDIA's, unpacked and imported over dummy libraries: interfaces without the code."""

from __future__ import annotations

import ctypes
import importlib
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

WHEELS = Path(__file__).resolve().parents[3] / ".venv" / "tensorrt-wheels"
BINDINGS = {
    "8.6.1": "tensorrt_bindings-8.6.1",
    "10.3.0": "tensorrt_cu12_bindings-10.3.0",
    "10.13.3.9": "tensorrt_cu13_bindings-10.13.3.9",
    "10.16.1.11": "tensorrt_cu13_bindings-10.16.1.11",
    "11.4.0.106": "tensorrt_cu13_bindings-11.4.0.106",
}
CUDA = {
    "11.8": "nvidia_cuda_runtime_cu11",
    "12.9": "nvidia_cuda_runtime_cu12",
    "13.5": "nvidia_cuda_runtime-13",
}
LIBRARIES = ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser", "libnvparsers")
FUNCTIONS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
    "_ZN11nvuffparser15createUffParserEv",
    "_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi",
    "_ZN14nvcaffeparser117createCaffeParserEv",
    "_ZN14nvcaffeparser123shutdownProtobufLibraryEv",
)
"""The functions that the bindings look up in the libraries, each when it is called."""


def wheel(start: str) -> Path | None:
    """The downloaded wheel whose name starts so."""
    return next(iter(sorted(WHEELS.glob(f"{start}*.whl"))), None)


def compile_library(source: Path, library: Path, soname: str) -> None:
    """Compile C without a C library of its own: what it needs is found in this process."""
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-target",
        "x86_64-linux-gnu",
        "-nostdlib",
        "-shared",
        "-O1",
    ]
    subprocess.run(
        [*command, "-fno-sanitize=all", f"-Wl,-soname,{soname}", "-o", library, source], check=True
    )


def unpack(version: str, folder: Path) -> Path:
    """Unpack the bindings of a version into `folder`, with dummy libraries in `folder`/lib."""
    found = wheel(BINDINGS[version])
    assert found is not None
    return unpack_found(found, version, folder)


def unpack_found(found: Path, version: str, folder: Path) -> Path:
    """As `unpack`, of any wheel; of one with the libraries its Python module alone, which is as genuine."""
    with zipfile.ZipFile(found) as packed:
        if not found.name.startswith("tensorrt-"):
            packed.extractall(folder)
            return with_dummies(version, folder)
        for name in ("__init__.py", "tensorrt.so"):
            packed.extract(f"tensorrt/{name}", folder)
    (folder / "tensorrt").rename(folder / "tensorrt_bindings")
    return with_dummies(version, folder)


def with_dummies(version: str, folder: Path) -> Path:
    """Put dummy libraries into `folder`/lib, and return `folder`."""
    (folder / "lib").mkdir()
    source = folder / "lib" / "dummy.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in FUNCTIONS))
    for name in LIBRARIES:
        soname = f"{name}.so.{version.split('.', maxsplit=1)[0]}"
        compile_library(source, folder / "lib" / soname, soname)
    compile_library(Path(__file__).with_name("double.c"), folder / "lib" / "libcudart.so", "libcudart.so")
    return folder


def import_bindings(folder: Path) -> ModuleType:
    """Import unpacked bindings. Once a process: all versions have the same module name."""
    for library in (folder / "lib").glob("libnv*.so.*"):
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    sys.path.insert(0, str(folder))
    return importlib.import_module("tensorrt_bindings")
