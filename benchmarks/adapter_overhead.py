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
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import numpy as np

from benchmarks.adapter_equality import (
    MACHINE,
    build_element,
    gstreamer_environment,
    gstreamer_program,
    linked,
    run,
)
from benchmarks.overhead.overhead_table import Round, overhead_table
from benchmarks.overhead.random_residual import residual_network
from benchmarks.overhead.timed_adapter import PROGRAMS, OwnTime, TimedAdapter, by_program
from benchmarks.overhead.timed_service import TimedService
from targets.runtime.compiled_libedgec import ARCHIVE, COMPILED, LIBRARY
from targets.runtime.compiled_service import SERVICE_SOURCES
from tests.targets.runtime.libedgec.camera_scenes import Scene
from tests.targets.runtime.serve.frame_request import request_of

TIMED, WRAP = PROGRAMS / "timed_run.c", "-Wl,--wrap=edgec_run_frame"
ORDER = ("C", "C++", "Python", "GStreamer", "HTTP", "HTTP, shared memory")
Way = AbstractContextManager[TimedAdapter]


def service_with_clocks(folder: Path, archive: Path) -> Path:
    """Compile edgec-serve as it is compiled for bundles, with clocks in it."""
    static = ["-target", f"{MACHINE}-linux-musl", "-static", "-s", "-O2", "-std=gnu11", "-pthread", WRAP]
    return linked([*static, "-fno-sanitize=all"], [*SERVICE_SOURCES, TIMED, archive], folder / "service")


def ways(bundle: Path, folder: Path, own: Mapping[str, OwnTime]) -> dict[str, Way]:
    """Compile all adapters, with clocks in them."""
    archive = COMPILED.folder(MACHINE) / ARCHIVE
    c = linked(["-O2", "-std=gnu11", "-lm", WRAP], [PROGRAMS / "time_c.c", TIMED, archive], folder / "c")
    client = linked(["-O2", "-std=gnu11"], [PROGRAMS / "time_http.c"], folder / "client")
    compiled, shared = folder / "timed_run.o", folder / "timed_run.so"
    run(["gcc", "-O2", "-fPIC", "-c", f"-I{LIBRARY}", TIMED, "-o", compiled], b"")
    run(["gcc", "-shared", compiled, "-o", shared], b"")
    cpp, source = folder / "cpp", PROGRAMS / "time_cpp.cpp"
    libraries: list[str | Path] = [compiled, archive, WRAP, "-lm", "-pthread"]
    run(["g++", "-O2", "-std=c++11", f"-I{LIBRARY}", source, *libraries, "-o", cpp], b"")
    python: list[str | Path] = [sys.executable, "-m", "benchmarks.overhead.time_python", bundle]
    element = gstreamer_environment(build_element(folder / "board", f"LDFLAGS={compiled} {WRAP}"))
    pipeline = gstreamer_program(PROGRAMS / "time_gstreamer.c", folder / "pipeline")
    frame = Scene("NV12", "BT709", True, 720, 1280).frame(np.random.default_rng(0))
    service = service_with_clocks(folder, archive)
    socket, memory = (TimedService(service, client, bundle, own[name].environment) for name in ORDER[4:])
    return {
        "C": by_program([c, bundle], own["C"].environment),
        "C++": by_program([cpp, bundle], own["C++"].environment),
        "Python": by_program(python, {**own["Python"].environment, "TIMED_RUN": str(shared)}),
        "GStreamer": by_program([pipeline, bundle], {**element, **own["GStreamer"].environment}),
        "HTTP": socket.by_http(*request_of(frame)),
        "HTTP, shared memory": memory.by_shared_memory(frame),
    }


@contextmanager
def opened(bundle: Path, folder: Path) -> Iterator[dict[str, tuple[TimedAdapter, OwnTime]]]:
    """Start all of them."""
    with ExitStack() as held:
        own = {name: held.enter_context(OwnTime(folder / f"own {name}")) for name in ORDER}
        adapters = ways(bundle, folder, own).items()
        yield {name: (held.enter_context(way), own[name]) for name, way in adapters}


def random_networks(folder: Path) -> dict[str, Path]:
    """Return engines with random weights, by what network they are as large as."""
    return {
        "ResNet-20 at 32": residual_network(32, (16, 32, 64), 3, folder / "resnet20.engine"),
        "ResNet-18 at 224": residual_network(224, (64, 128, 256, 512), 2, folder / "resnet18.engine"),
    }


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
    return {name: found[name] for name in adapters}


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
            print(
                f"{name}\n{overhead_table(measure(engine, inside, arguments.rounds, arguments.frames))}",
                flush=True,
            )


if __name__ == "__main__":
    main()
