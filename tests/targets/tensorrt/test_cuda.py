"""The calls of the CUDA runtime, compared with its genuine libraries and headers."""

import ctypes
import re
import zipfile
from pathlib import Path

import pytest

from targets.runtime.tensorrt import cuda
from targets.runtime.tensorrt.cuda import SIGNATURES, Cuda, CudaError
from tests.targets.tensorrt.bindings import CUDA, compile_library, wheel


@pytest.fixture(scope="module", params=CUDA)
def unpacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = wheel(CUDA[request.param])
    if found is None:
        pytest.skip(f"the runtime of CUDA {request.param} is not here: run scripts/tensorrt_wheels.sh")
    folder = tmp_path_factory.mktemp("cuda")
    with zipfile.ZipFile(found) as packed:
        packed.extractall(folder)
    return folder


def test_the_runtime_has_every_function_and_says_that_there_is_no_gpu(unpacked: Path) -> None:
    library = ctypes.CDLL(str(next(unpacked.rglob("libcudart.so.*"))))
    cuda = Cuda(library)
    if not Path("/dev/nvidiactl").exists():
        with pytest.raises(CudaError, match=r"cudaGetDeviceCount failed: .*(driver|device)"):
            cuda.compute_capability()


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_header_declares_the_arguments_that_are_passed(unpacked: Path, name: str) -> None:
    text = next(unpacked.rglob("cuda_runtime_api.h")).read_text()
    found = re.search(rf"^extern [^\n]*\b{name}\(([^;]*)\);", text, re.MULTILINE)
    assert found, name
    declared = [part.strip() for part in found.group(1).split(",")]
    assert [width(part) for part in declared] == [ctypes.sizeof(kind) for kind in SIGNATURES[name]]


def width(declaration: str) -> int:
    """The bytes of an argument on a 64-bit machine: pointers and handles 8, enumerations and int 4."""
    plain = re.sub(r"\b(const|__dv\(0\)|enum)\b", "", declaration)
    if "*" in plain or re.match(
        r"\s*(cudaStream_t|cudaGraph_t|cudaGraphExec_t|size_t|unsigned long long)", plain
    ):
        return 8
    return 4


def test_the_runtime_is_found_in_cuda_s_own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dummy = tmp_path / "dummy.so"
    compile_library(Path(__file__).with_name("double.c"), dummy, "libcudart.so")
    monkeypatch.setattr(cuda, "LIBRARIES", ())
    with pytest.raises(CudaError, match=r"no CUDA runtime .*sudo apt install nvidia-jetpack"):
        Cuda.load(tmp_path)
    for number, folder in (("11.4", "lib64"), ("12.6", "targets/aarch64-linux/lib")):
        place = tmp_path / f"usr/local/cuda-{number}" / folder
        place.mkdir(parents=True)
        name = f"libcudart.so.{number.partition('.')[0]}"
        (place / name).write_bytes(dummy.read_bytes() if number == "12.6" else b"cut off")
    assert Cuda.load(tmp_path).compute_capability() == "87"  # the newest
