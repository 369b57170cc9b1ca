"""Compares every way to embed a network with its engine, bit for bit, on frames as cameras deliver them.

python -m benchmarks.adapter_equality --frames 1000 --seed 1

Random frames of each kind of pixels, with strides and crops, become pictures in NumPy; their logits come from
the engine that `edgec validate` opens. C, C++, Python, GStreamer and HTTP get the frames.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path

import numpy as np

from targets.reach import emulator
from targets.runtime.compiled_libedgec import ADAPTERS, ARCHIVE, COMPILED, LIBRARY, embedding
from targets.runtime.compiled_service import COMPILED_SERVICE, SERVICE
from targets.runtime.embedded_frame import PIXELS
from targets.runtime.embedded_network import EmbeddedFrame, EmbeddedNetwork
from targets.runtime.native_runner import NativeRunner, open_engine
from targets.runtime.preprocess import Preprocessing
from targets.runtime.zig import run_zig
from targets.tvm.cpu_target import host_isa
from targets.tvm.isa import ISAS
from targets.tvm.link import STATIC
from tests.targets.runtime.libedgec.camera_scenes import Scene, frame_stream, random_scene
from tests.targets.runtime.libedgec.tiny_networks import PackedNetwork, write_network
from tests.targets.runtime.serve.frame_request import request_of

TESTS = Path(__file__).parent.parent / "tests" / "targets" / "runtime"
FITTING = Preprocessing(24, 20, 3)
MACHINE = "x86_64"
GSTREAMER = ("gstreamer-app-1.0", "gstreamer-video-1.0")
Frames = Sequence[EmbeddedFrame]


@dataclass(frozen=True)
class Way:
    """A way to embed a network: the logits of frames, as bytes, and for how many frames it is asked."""

    logits: Callable[[Frames], bytes]
    frames: int


def run(command: Sequence[str | Path], data: bytes, environment: dict[str, str] | None = None) -> bytes:
    """Return a program's output. Raises RuntimeError with its error output if it fails."""
    told = [str(one) for one in command]
    done = subprocess.run(told, input=data, capture_output=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{told[0]}: {done.stderr.decode()[-2000:]}")
    return done.stdout


def linked(options: Sequence[str], sources: Sequence[Path], program: Path) -> Path:
    """Compile a C program by zig. Raises RuntimeError."""
    made = run_zig([f"-I{LIBRARY}", *options], sources, program)
    if made.returncode:
        raise RuntimeError(made.stderr)
    return program


def by_program(command: Sequence[str | Path]) -> Callable[[Frames], bytes]:
    """Return a function that runs run_frames.c or .cpp, which write picture and logits of each frame."""

    def logits(frames: Frames) -> bytes:
        each = np.frombuffer(run(command, frame_stream(frames)), np.uint8).reshape(len(frames), -1)
        return each[:, FITTING.height * FITTING.width * FITTING.channels :].tobytes()

    return logits


def by_python(bundle: Path) -> Callable[[Frames], bytes]:
    """Return a function that runs the Python binding."""

    def logits(frames: Frames) -> bytes:
        with EmbeddedNetwork(bundle) as network, network.context() as context:
            return b"".join(context.run_frame(frame).tobytes() for frame in frames)

    return logits


def build_element(folder: Path, *options: str) -> Path:
    """Compile edgecinfer as its user does, with further words for make; returns the folder of the plugin."""
    for name, content in embedding(MACHINE).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    element = folder / "element"
    shutil.copytree(ADAPTERS / "gstreamer", element, ignore=shutil.ignore_patterns("*.so"))
    run(["make", "-s", "-C", element, f"BUNDLE={folder}", *options], b"")
    return element


def gstreamer_environment(element: Path) -> dict[str, str]:
    """Return the variables with which GStreamer finds the element and keeps a registry of its own."""
    registry = str(element.parent / "registry.bin")
    return {**os.environ, "GST_PLUGIN_PATH": str(element), "GST_REGISTRY": registry, "LANG": "C.UTF-8"}


def gstreamer_program(source: Path, program: Path) -> Path:
    """Compile a program that puts frames through a pipeline."""
    flags = run(["pkg-config", "--cflags", "--libs", *GSTREAMER], b"").decode().split()
    includes = [f"-I{LIBRARY}", f"-I{TESTS / 'libedgec'}"]
    run(["gcc", "-O2", *includes, source, *flags, "-o", program], b"")
    return program


def by_gstreamer(bundle: Path, folder: Path) -> Callable[[Frames], bytes]:
    """Return a function that puts frames through the element edgecinfer, each with its own caps."""
    environment = gstreamer_environment(build_element(folder))
    program = gstreamer_program(TESTS / "adapters" / "frames_through.c", folder / "frames_through")
    return lambda frames: run([program, bundle], frame_stream(frames), environment)


def by_http(bundle: Path) -> Callable[[Frames], bytes]:
    """Return a function that sends frames to edgec-serve, one after the other."""

    def logits(frames: Frames) -> bytes:
        command = [COMPILED_SERVICE.folder(MACHINE) / SERVICE, bundle, "--port", "0", "--workers", "1"]
        with subprocess.Popen([str(one) for one in command], stdout=subprocess.PIPE, text=True) as process:
            url = process.stdout.readline() if process.stdout else ""
            connection = HTTPConnection(url.split("/")[2])
            found = [ask(connection, frame) for frame in frames]
            connection.close()
            process.terminate()
        return b"".join(found)

    return logits


def ask(connection: HTTPConnection, frame: EmbeddedFrame) -> bytes:
    """Return the logits of a frame. Raises RuntimeError if the service refuses it."""
    connection.request("POST", "/v2/models/tiny/infer", *request_of(frame))
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(body.decode())
    return body[int(answer.headers["Inference-Header-Content-Length"]) :]


def ways(folder: Path, here: Path, count: int, emulated: int) -> dict[str, Way]:
    """Return each way by its name, with what it needs compiled."""
    bundle = PackedNetwork(here, FITTING).packed(folder / "here.edgec")
    archive = COMPILED.folder(MACHINE) / ARCHIVE
    c = linked(["-O1", "-lm"], [TESTS / "libedgec" / "run_frames.c", archive], folder / "c")
    cpp = folder / "cpp"
    source = TESTS / "libedgec" / "run_frames.cpp"
    run(["g++", "-std=c++11", f"-I{LIBRARY}", source, archive, "-lm", "-pthread", "-o", cpp], b"")
    found = {
        "C": Way(by_program([c, bundle, "1"]), count),
        "C++": Way(by_program([cpp, bundle, "1"]), count),
        "Python": Way(by_python(bundle), count),
        "GStreamer": Way(by_gstreamer(bundle, folder / "board"), count),
        "HTTP": Way(by_http(bundle), count),
    }
    if emulated:
        arm = write_network(folder, ISAS["neon"])
        arm_bundle = PackedNetwork(arm, FITTING).packed(folder / "arm.edgec")
        sources = [TESTS / "libedgec" / "run_frames.c", COMPILED.folder("aarch64") / ARCHIVE]
        program = linked(["-target", "aarch64-linux-musl", *STATIC], sources, folder / "arm")
        command: list[str | Path] = [emulator.QEMU, "-cpu", "cortex-a72", program, arm_bundle, "1"]
        found["C on cortex-a72 in the emulator"] = Way(by_program(command), emulated)
    return found


def scenes_of(pixels: str, count: int, rng: np.random.Generator) -> list[Scene]:
    """Return random scenes of a kind of pixels."""
    drawn = (random_scene(rng, 64) for _ in range(count))
    return [replace(one, pixels=pixels, width=one.width + one.width % 2) for one in drawn]


def compare(
    engine: NativeRunner, every: dict[str, Way], scenes: list[Scene], frames: list[EmbeddedFrame]
) -> str:
    """Return for how many of the frames each way has other logits than the engine."""
    pictures = [FITTING(scene.picture(frame)) for scene, frame in zip(scenes, frames, strict=True)]
    wanted = engine.infer(np.stack(pictures)).view(np.int32)
    told = []
    for name, way in every.items():
        some = wanted[: way.frames]
        found = np.frombuffer(way.logits(frames[: way.frames]), np.int32).reshape(some.shape)
        told.append(f"{name} {int((found != some).any(axis=1).sum())} of {len(some)}")
    return f"{', '.join(told)}; the engine has {len(np.unique(wanted, axis=0))} answers"


def main() -> None:
    """Compare, and print a line for each kind of pixels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000, help="of each kind of pixels")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--emulated", type=int, default=100, help="of each kind in the emulator; 0: none")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="edgec-adapters-") as scratch:
        here = write_network(Path(scratch), host_isa())
        every = ways(Path(scratch), here, arguments.frames, arguments.emulated)
        with open_engine(here) as engine:
            for pixels in PIXELS:
                scenes = scenes_of(pixels, arguments.frames, rng)
                frames = [scene.frame(rng) for scene in scenes]
                print(f"{pixels}, with other logits: {compare(engine, every, scenes, frames)}", flush=True)


if __name__ == "__main__":
    main()
