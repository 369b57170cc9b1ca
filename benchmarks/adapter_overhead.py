"""Measures the time that each adapter adds to libedgec for a frame of 720p, NV12, one thread.

python -m benchmarks.adapter_overhead                  # networks as large as ResNet-20 and ResNet-18
python -m benchmarks.adapter_overhead out/my-host.edgec

Inside every adapter edgec_run_frame has clocks around it (`overhead/timed_run.c`), so a frame's own time is
known together with the time that its caller sees: the difference is what the adapter adds. Two processes that
do the same differ by several percent, by where their memory lies; one frame does not differ from itself. All
take some frames in turn. C++ and Python are timed around the call, GStreamer from a buffer's way into the
pipeline until it is out, HTTP from a request's first byte until the answer's last one, in a client in C.
Processor time is that of all processes of an adapter, the client's included.
"""

import argparse
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from ctypes import CDLL, c_void_p, cast
from dataclasses import dataclass
from mmap import mmap
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.adapter_equality import (
    MACHINE,
    build_element,
    gstreamer_environment,
    gstreamer_program,
    linked,
    run,
)
from targets.runtime.compiled_libedgec import ARCHIVE, COMPILED, LIBRARY
from targets.runtime.compiled_service import COMPILED_SERVICE, SERVICE, SERVICE_SOURCES
from targets.runtime.embedded_network import EmbeddedFrame, EmbeddedNetwork, library
from targets.runtime.preprocess import Preprocessing
from targets.tvm.cpu_target import host_isa
from targets.tvm.engine_file import write_engine
from targets.tvm.importer import import_graph
from tests.targets.runtime.libedgec.camera_scenes import Scene
from tests.targets.runtime.serve.frame_request import bytes_of, parameters_of, request_of
from tests.targets.tvm.qdq_model import QdqModel

PROGRAMS = Path(__file__).parent / "overhead"
TIMED, WRAP = PROGRAMS / "timed_run.c", "-Wl,--wrap=edgec_run_frame"

ORDER = ("C", "C++", "Python", "GStreamer", "HTTP", "HTTP, shared memory")


FrameTimes = list[tuple[float, float]]
"""Of each frame the seconds that its caller saw, and those of edgec_run_frame in it."""


class OwnTime:
    """What timed_run.c tells of an adapter's runs. A context manager."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(4096))
        self.environment = {**os.environ, "EDGEC_OWN_TIME": str(path)}
        self._file = path.open("r+b")
        self._held = mmap(self._file.fileno(), 16)

    def __enter__(self) -> "OwnTime":
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
        self._file.close()

    def last(self) -> float:
        """Return the seconds of the last run, by the clock."""
        return int.from_bytes(self._held[:8], "little") * 1e-9

    def processor_seconds(self) -> float:
        """Return the processor time of all runs."""
        return int.from_bytes(self._held[8:], "little") * 1e-9


@dataclass(frozen=True)
class TimedAdapter:
    """Takes so many frames, and returns the times of each. `processes`: those that work on them."""

    take: Callable[[int], FrameTimes]
    processes: tuple[int, ...]

    def __call__(self, frames: int) -> FrameTimes:
        """Take the frames."""
        return self.take(frames)

    def processor_seconds(self) -> float:
        """Return the processor time of its processes since they began (clock_getcpuclockid)."""
        return sum(time.clock_gettime(~process << 3 | 2) for process in self.processes)


@contextmanager
def by_program(
    command: list[str | Path], environment: dict[str, str] | None = None
) -> Iterator[TimedAdapter]:
    """Start a program of `overhead/`."""
    told = [str(one) for one in command]
    with subprocess.Popen(
        told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:

        def timed(frames: int) -> FrameTimes:
            print(frames, file=process.stdin, flush=True)
            line = process.stdout.readline() if process.stdout else ""
            found = [int(one) * 1e-9 for one in line.split()]
            return list(zip(found[::2], found[1::2], strict=True))

        yield TimedAdapter(timed, (process.pid,))
        process.communicate()


@contextmanager
def by_python(bundle: Path, frame: EmbeddedFrame, folder: Path, own: OwnTime) -> Iterator[TimedAdapter]:
    """Open the bundle by the binding. Each frame is made anew, as of arrays that a camera's library gives."""
    shared = folder / "timed_run.so"
    run(["gcc", "-O2", "-shared", "-fPIC", f"-I{LIBRARY}", TIMED, "-o", shared], b"")
    timed, real = CDLL(str(shared)), library().edgec_run_frame
    c_void_p.in_dll(timed, "edgec_timed").value = cast(real, c_void_p).value
    run_frame = timed["__wrap_edgec_run_frame"]
    run_frame.argtypes = real.argtypes
    os.environ["EDGEC_OWN_TIME"] = own.environment["EDGEC_OWN_TIME"]

    def one() -> None:
        context.run_frame(EmbeddedFrame(frame.pixels, frame.planes, frame.matrix, frame.range))

    with EmbeddedNetwork(bundle) as network, network.context() as context:
        context._run_frame = run_frame
        yield TimedAdapter(lambda frames: [(seconds(one), own.last()) for _ in range(frames)], (os.getpid(),))


def memory_request(memory: shared_memory.SharedMemory, frame: EmbeddedFrame) -> bytes:
    """Return a body that asks for the logits of the frame in the region "frame"."""
    data = np.frombuffer(bytes_of(frame), np.uint8)
    size = len(data)
    np.ndarray(size, np.uint8, memory.buf)[:] = data
    where = {"shared_memory_region": "frame", "shared_memory_byte_size": size}
    form = {"name": "frame", "datatype": "UINT8", "shape": [size], "parameters": where}
    return json.dumps(
        {"inputs": [form], "parameters": {**parameters_of(frame), "binary_data_output": True}}
    ).encode()


@contextmanager
def by_shared_memory(
    bundle: Path, frame: EmbeddedFrame, asking: "TimedService | None" = None
) -> Iterator[TimedAdapter]:
    """Start edgec-serve with a region that the frame lies in: requests name it."""
    memory = shared_memory.SharedMemory(create=True, size=len(bytes_of(frame)))
    try:
        about = json.dumps({"key": memory.name, "byte_size": memory.size}).encode()
        with by_http(bundle, memory_request(memory, frame), {}, about, asking) as timed:
            yield timed
    finally:
        memory.close()
        memory.unlink()


@dataclass(frozen=True)
class TimedService:
    """The service with clocks in it, the client that asks it, and what the clocks tell."""

    service: Path
    client: Path
    own: OwnTime


@contextmanager
def by_http(
    bundle: Path,
    body: bytes,
    headers: dict[str, str],
    region: bytes = b"",
    asking: "TimedService | None" = None,
) -> Iterator[TimedAdapter]:
    """Start edgec-serve, and keep one connection to it: that of a client in C, or one here."""
    service = asking.service if asking else COMPILED_SERVICE.folder(MACHINE) / SERVICE
    command = [service, bundle, "--port", "0", "--workers", "1", "--shared-memory", ""]
    environment = asking.own.environment if asking else None
    with subprocess.Popen(
        [str(one) for one in command], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        url = (process.stdout.readline() if process.stdout else "").strip()
        address, path = url.split("/")[2], "/" + url.split("/", 3)[3]
        told = {"Host": address, "Content-Length": str(len(body)), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        request = f"POST {path}/infer HTTP/1.1\r\n{lines}\r\n".encode() + body
        host, port = address.split(":")
        with ExitStack() as held:
            held.callback(process.terminate)
            connection = held.enter_context(closing(socket.create_connection((host, int(port)))))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if region:
                start = "POST /v2/systemsharedmemory/region/frame/register HTTP/1.1\r\n"
                ask(
                    connection,
                    f"{start}Host: {address}\r\nContent-Length: {len(region)}\r\n\r\n".encode() + region,
                )
            if asking is None:
                yield TimedAdapter(
                    lambda frames: [(seconds(lambda: ask(connection, request)), 0.0) for _ in range(frames)],
                    (process.pid, os.getpid()),
                )
                return
            file = held.enter_context(tempfile.NamedTemporaryFile())
            file.write(request)
            file.flush()
            client = held.enter_context(by_program([asking.client, port, file.name], environment))
            yield TimedAdapter(client.take, (process.pid, *client.processes))


def ask(connection: socket.socket, request: bytes) -> None:
    """Send a request and read its answer. Raises RuntimeError if the service refuses it."""
    connection.sendall(request)
    found = connection.recv(1 << 16)
    if not found.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(found.decode(errors="replace"))
    head, _, rest = found.partition(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    while len(rest) < length:
        rest += connection.recv(1 << 16)


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


@contextmanager
def opened(bundle: Path, folder: Path) -> Iterator[dict[str, tuple[TimedAdapter, OwnTime]]]:
    """Compile and start all of them."""
    archive = COMPILED.folder(MACHINE) / ARCHIVE
    timed = [TIMED, archive]
    c = linked(["-O2", "-std=gnu11", "-lm", WRAP], [PROGRAMS / "time_c.c", *timed], folder / "c")
    client = linked(["-O2", "-std=gnu11"], [PROGRAMS / "time_http.c"], folder / "client")
    compiled = folder / "timed_run.o"
    run(["gcc", "-O2", "-fPIC", "-c", f"-I{LIBRARY}", TIMED, "-o", compiled], b"")
    cpp, source = folder / "cpp", PROGRAMS / "time_cpp.cpp"
    libraries: list[str | Path] = [compiled, archive, WRAP, "-lm", "-pthread"]
    run(["g++", "-O2", "-std=c++11", f"-I{LIBRARY}", source, *libraries, "-o", cpp], b"")
    service = folder / "service"
    static = ["-target", f"{MACHINE}-linux-musl", "-static", "-s", "-O2", "-std=gnu11", "-pthread", WRAP]
    linked([*static, "-fno-sanitize=all"], [*SERVICE_SOURCES, *timed], service)
    environment = gstreamer_environment(build_element(folder / "board", f"LDFLAGS={compiled} {WRAP}"))
    pipeline = gstreamer_program(PROGRAMS / "time_gstreamer.c", folder / "pipeline")
    frame = Scene("NV12", "BT709", True, 720, 1280).frame(np.random.default_rng(0))
    with ExitStack() as held:
        own = {name: held.enter_context(OwnTime(folder / f"own {name}")) for name in ORDER}
        asking = {name: TimedService(service, client, own[name]) for name in ("HTTP", "HTTP, shared memory")}
        ways = {
            "C": by_program([c, bundle], own["C"].environment),
            "C++": by_program([cpp, bundle], own["C++"].environment),
            "Python": by_python(bundle, frame, folder, own["Python"]),
            "GStreamer": by_program([pipeline, bundle], {**environment, **own["GStreamer"].environment}),
            "HTTP": by_http(bundle, *request_of(frame), asking=asking["HTTP"]),
            "HTTP, shared memory": by_shared_memory(bundle, frame, asking["HTTP, shared memory"]),
        }
        yield {name: (held.enter_context(way), own[name]) for name, way in ways.items()}


def residual_network(side: int, widths: Sequence[int], blocks: int, path: Path) -> Path:
    """Write an engine of a residual network with random weights: ResNet-20 is (32, (16, 32, 64), 3)."""
    m = QdqModel(side, side, 3)
    stem: dict[str, Any] = {"kernel": 7, "strides": [4, 4], "pads": [3, 3, 3, 3]} if side > 64 else {}
    x = m.quantized(m.node("Relu", m.conv(m.image(), widths[0], 3, **stem)), 0.5, 0)
    inputs = widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            step = 2 if stage and not block else 1
            y = m.quantized(m.node("Relu", m.conv(x, width, inputs, strides=[step, step])), 2.0, 0)
            kept = x
            if width != inputs:
                kept = m.quantized(m.conv(x, width, inputs, 1, strides=[2, 2]), 2.0, 128)
            y = m.quantized(m.conv(y, width, width), 2.0, 128)
            x = m.quantized(m.node("Relu", m.node("Add", y, kept)), 8.0, 0)
            inputs = width
    x = m.quantized(m.node("GlobalAveragePool", x), 4.0, 0)
    model = m.save(m.gemm(m.node("Flatten", x), 10, inputs), path.with_suffix(".onnx"))
    write_engine(import_graph(model), host_isa(), path, Preprocessing(side, side, 3))
    return path


def random_networks(folder: Path) -> dict[str, Path]:
    """Return engines with random weights, by what network they are as large as."""
    return {
        "ResNet-20 at 32": residual_network(32, (16, 32, 64), 3, folder / "resnet20.engine"),
        "ResNet-18 at 224": residual_network(224, (64, 128, 256, 512), 2, folder / "resnet18.engine"),
    }


@dataclass(frozen=True)
class Round:
    """An adapter's frames, and for each of them the processor time that it adds to edgec_run_frame's."""

    frames: FrameTimes
    processor: float
    own_processor: float


def measure(engine: Path, folder: Path, rounds: int, frames: int) -> dict[str, list[Round]]:
    """Return the rounds of each adapter."""
    found: dict[str, list[Round]] = {}
    rng = np.random.default_rng(0)
    with opened(engine, folder) as adapters:
        for timed, _ in adapters.values():
            timed(frames)
        for _ in range(rounds):
            for name in rng.permutation(list(adapters)).tolist():  # none always follows the same one
                timed, own = adapters[name]
                begin, own_begin = timed.processor_seconds(), own.processor_seconds()
                times = timed(frames)
                runs = (own.processor_seconds() - own_begin) / frames
                taken = (timed.processor_seconds() - begin) / frames
                found.setdefault(name, []).append(Round(times, taken - runs, runs))
    return found


def added(more: NDArray[np.float64], own: NDArray[np.float64]) -> str:
    """Return a median with its quartiles in microseconds, and what part of the own time's median it is."""
    low, middle, high = np.percentile(more, (25, 50, 75))
    return f"{middle * 1e6:.0f} us [{low * 1e6:.0f}, {high * 1e6:.0f}], {middle / np.median(own):.1%}"


def table(found: dict[str, list[Round]]) -> str:
    """Return a table in Markdown: medians of all frames, and of the rounds' processor time."""
    lines = [
        "| | edgec_run_frame, ms | added by the clock | its processor time, ms | added processor time |",
        "|---|---|---|---|---|",
    ]
    for name in sorted(found, key=ORDER.index):
        seen, own = np.array([frame for one in found[name] for frame in one.frames]).T
        more, runs = np.array([(one.processor, one.own_processor) for one in found[name]]).T
        clock = f"{np.median(own) * 1e3:.3f} | {added(seen - own, own)}"
        lines.append(f"| {name} | {clock} | {np.median(runs) * 1e3:.3f} | {added(more, runs)} |")
    return "\n".join(lines)


def main() -> None:
    """Time, and print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, nargs="?", help="a bundle or an engine for this machine")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--frames", type=int, default=10, help="of each adapter in each round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgec-overhead-") as scratch:
        folder = Path(scratch)
        networks = {arguments.bundle.name: arguments.bundle} if arguments.bundle else random_networks(folder)
        for n, (name, engine) in enumerate(networks.items()):
            inside = folder / str(n)
            inside.mkdir()
            print(f"{name}\n{table(measure(engine, inside, arguments.rounds, arguments.frames))}", flush=True)


if __name__ == "__main__":
    main()
