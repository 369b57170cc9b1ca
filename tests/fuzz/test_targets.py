"""The C that reads files, and the threads of engines, under sanitizers: the corpora, and changes of them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from targets.runtime.compiled_libedgec import LIBRARY
from targets.runtime.compiled_service import SERVICE_SOURCES
from targets.tvm.link import NATIVE

HERE = Path(__file__).parent
COMPILER = shutil.which("gcc") or shutil.which("clang")
MEMORY = "address,undefined"
ENGINE = ("engine_file.c", "executor.c", "footer.c")
PNG = ("png.c", "png_pixels.c", "inflate.c", "exif.c")
JPEG = ("jpeg.c", "jpeg_bits.c", "jpeg_scan.c", "jpeg_inverse.c", "jpeg_pixels.c", "exif.c")
SERVE = (
    *(str(one) for one in SERVICE_SOURCES if one.name != "serve.c"),  # which the target includes
    *(str(LIBRARY / one) for one in ("context.c", "decode.c", "network.c", "failure.c", "frame.c", "json.c")),
    *("executor.c", "workers.c", "fit.c", "resize.c"),
    *dict.fromkeys((*PNG, *JPEG)),
)
PROGRAMS = {
    "png": (MEMORY, ["mutate.c", "png_target.c"], PNG, ["png", "inflate"]),
    "jpeg": (MEMORY, ["mutate.c", "jpeg_target.c"], JPEG, ["jpeg"]),
    "footer": (MEMORY, ["mutate.c", "footer_target.c"], [*ENGINE, "workers.c"], ["footer"]),
    "serve": (MEMORY, ["mutate.c", "serve_target.c"], SERVE, ["serve"]),
    "pool": (MEMORY, ["pool_threads.c"], ["workers.c"], []),
    "pool's races": ("thread", ["pool_threads.c"], ["workers.c"], []),
}
pytestmark = pytest.mark.skipif(COMPILER is None, reason="neither gcc nor clang is here: no sanitizers")


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_sanitizer_finds_nothing(name: str, tmp_path: Path) -> None:
    sanitizer, ours, native, corpora = PROGRAMS[name]
    program = tmp_path / "program"
    sources = [*(HERE / one for one in ours), *(NATIVE / one for one in native)]
    options = ["-g", "-O1", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", "-pthread"]
    headers = [f"-I{folder}" for folder in (NATIVE, LIBRARY, SERVICE_SOURCES[0].parent)]
    command = [str(COMPILER), *options, *headers, *map(str, sources), "-lm", "-o", str(program)]
    subprocess.run(command, check=True)
    files = [str(path) for corpus in corpora for path in sorted((HERE / "corpus" / corpus).iterdir())]
    done = subprocess.run(
        [str(program), *(files or ["7"])],
        env={**os.environ, "RUNS": "150", "ASAN_OPTIONS": "allocator_may_return_null=1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{len(files)} files, 150 changes" in done.stdout or "12 pools" in done.stdout
