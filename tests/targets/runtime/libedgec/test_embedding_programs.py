"""Programs in C and C++ get the bits that Python and the engine's program get; nothing waits in a run."""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from targets.reach import emulator
from targets.runtime.compiled_libedgec import (
    ARCHIVE,
    COMPILED,
    LIBRARY,
    NATIVE,
    SOURCES,
    definitions,
    embedding,
)
from targets.runtime.embedded_frame import MATRICES, PIXELS
from targets.runtime.embedded_network import EmbeddedFrame, EmbeddedNetwork
from targets.runtime.native_runner import open_engine
from targets.runtime.preprocess import Preprocessing
from targets.runtime.zig import run_zig
from targets.tvm.link import STATIC
from tests.targets.runtime.libedgec.camera_scenes import Scene, frame_stream
from tests.targets.runtime.libedgec.conftest import Engines
from tests.targets.runtime.libedgec.tiny_networks import PackedNetwork

HERE = Path(__file__).parent
COMPILER, CPP = shutil.which("gcc") or shutil.which("clang"), shutil.which("g++") or shutil.which("clang++")
STRICT = ("-Wall", "-Wextra", "-Werror")


def zig(program: Path, sources: Sequence[Path], *options: str) -> None:
    linked = run_zig(options, sources, program)
    assert linked.returncode == 0, linked.stderr


@pytest.fixture(scope="module")
def frames() -> list[EmbeddedFrame]:
    """Of each kind some, in each meaning of YUV, at odd sizes and with crops."""
    rng = np.random.default_rng(0)
    scenes = [
        Scene(pixels, matrix, limited, height, width + width % 2 * (pixels in ("YUYV", "UYVY")), 5, crop)
        for pixels in PIXELS
        for matrix in MATRICES
        for limited in (True, False)
        for height, width, crop in ((31, 45, (0, 0, 0, 0)), (24, 20, (0, 0, 0, 0)), (70, 51, (3, 5, 61, 40)))
    ]
    return [scene.frame(rng) for scene in scenes]


@pytest.fixture(scope="module")
def expected(bundle: Path, frames: list[EmbeddedFrame]) -> bytes:
    """What Python gets of each frame."""
    with EmbeddedNetwork(bundle) as network, network.context() as context:
        return b"".join(context.prepare(f).tobytes() + context.run_frame(f).tobytes() for f in frames)


def output(command: Sequence[str | Path], data: bytes, environment: dict[str, str] | None = None) -> bytes:
    done = subprocess.run(
        [*map(str, command)],
        input=data,
        capture_output=True,
        check=False,
        timeout=300,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


def test_python_gets_the_logits_of_the_picture(
    engines: Engines, bundle: Path, frames: list[EmbeddedFrame]
) -> None:
    with (
        EmbeddedNetwork(bundle) as network,
        network.context() as context,
        open_engine(engines.color) as engine,
    ):
        for frame in frames:
            assert np.array_equal(context.run_frame(frame), engine.infer(context.prepare(frame)[None])[0])


def test_a_c_program_with_the_shared_library(
    bundle: Path, frames: list[EmbeddedFrame], expected: bytes, tmp_path: Path
) -> None:
    """As a user has it: below a folder that was moved, with pkg-config where there is one."""
    for name, content in embedding(platform.machine()).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    flags = [f"-I{tmp_path}/include", f"-L{tmp_path}/lib", "-ledgec"]
    if shutil.which("pkg-config"):
        asked = ["pkg-config", "--cflags", "--libs", "edgec"]
        found = output(asked, b"", {"PKG_CONFIG_PATH": f"{tmp_path}/lib/pkgconfig"}).decode().split()
        assert [Path(f).resolve() for f in (found[0][2:], found[1][2:])] == [
            tmp_path / "include",
            tmp_path / "lib",
        ]
        flags = found
    program = tmp_path / "program"
    zig(program, [HERE / "run_frames.c"], "-std=c99", "-pedantic", *STRICT, *flags)
    found_bits = output([program, bundle, "2"], frame_stream(frames), {"LD_LIBRARY_PATH": f"{tmp_path}/lib"})
    assert found_bits == expected


@pytest.mark.skipif(CPP is None, reason="neither g++ nor clang++ is here: the C++ header is not compiled")
def test_a_cpp_program_with_the_archive(
    here: Path, bundle: Path, frames: list[EmbeddedFrame], expected: bytes, tmp_path: Path
) -> None:
    program, flags = tmp_path / "program", ["-std=c++11", "-pedantic", *STRICT, f"-I{LIBRARY}"]
    sources = [HERE / "run_frames.cpp", here / ARCHIVE, "-lm", "-pthread", "-o", program]
    subprocess.run([str(CPP), *flags, *map(str, sources)], check=True)
    assert output([program, bundle, "1"], frame_stream(frames)) == expected
    refused = subprocess.run([program, "/nowhere", "1"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr) == (1, "2: /nowhere cannot be opened\n")


@pytest.mark.skipif(
    not emulator.is_installed(), reason="qemu-aarch64 is not installed (apt install qemu-user)"
)
def test_a_static_program_for_arm(engines: Engines, frames: list[EmbeddedFrame], tmp_path: Path) -> None:
    program, archive = tmp_path / "program", COMPILED.folder("aarch64") / ARCHIVE
    options = ("-target", "aarch64-linux-musl", *STATIC, f"-I{LIBRARY}")
    zig(program, [HERE / "run_frames.c", archive], *options)
    bundle = PackedNetwork(engines.arm).packed(tmp_path / "arm.edgec")
    some = frames[::3] + frames[1::9]
    with (
        EmbeddedNetwork(PackedNetwork(engines.color).packed(tmp_path / "here.edgec")) as network,
        network.context() as context,
    ):
        here = b"".join(context.prepare(f).tobytes() + context.run_frame(f).tobytes() for f in some)
    assert output([emulator.QEMU, "-cpu", "cortex-a72", program, bundle, "1"], frame_stream(some)) == here


def test_a_run_calls_neither_the_allocator_nor_the_system(here: Path, bundle: Path, tmp_path: Path) -> None:
    """The kernel ends a process in seccomp's strict mode that calls it, unless to write or to end."""
    program = tmp_path / "program"
    zig(program, [HERE / "strictly.c", here / ARCHIVE], f"-I{LIBRARY}", "-O1", "-lm")
    assert output([program, bundle], b"") == b"no call\n"


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="neither gcc nor clang is here: no sanitizers")
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_two_networks_in_eight_threads_race_and_leak_nothing(
    sanitizer: str, engines: Engines, bundle: Path, tmp_path: Path
) -> None:
    gray = PackedNetwork(engines.gray, Preprocessing(24, 20, 1)).unpacked(tmp_path / "gray")
    program = tmp_path / "program"
    flags = [
        "-g",
        "-O1",
        "-ffp-contract=off",
        f"-fsanitize={sanitizer}",
        "-fno-sanitize-recover=all",
        "-pthread",
    ]
    flags += ["-std=gnu11", f"-I{LIBRARY}", f"-I{NATIVE}", *definitions(platform.machine())]
    sources = [HERE / "many_threads.c", *SOURCES, "-lm", "-o", program]
    subprocess.run([str(COMPILER), *flags, *map(str, sources)], check=True)
    picture = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8), (48, 40))
    files = [tmp_path / "some.jpg", tmp_path / "some.png"]
    for file in files:
        file.write_bytes(cv2.imencode(file.suffix, picture)[1].tobytes())
    assert output([program, bundle, gray, *files], b"") == b"the same logits\n"
