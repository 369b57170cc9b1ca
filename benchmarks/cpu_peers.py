"""Our engine against six others on this CPU, measured alternately.

    python -m benchmarks.cpu_peers [--models resnet20 ... unet] [--threads 1 2] [--seconds 20] [--isa avx2]
                                   [--as-built]

Every peer is installed once in a virtual environment of its own below out/peers, at the versions in PEERS,
and given the same weights, calibration images and pictures; the logits of all have to correlate with the
float network's.
The processes then take turns: a burst of single inferences each, round after round, so that all see the same
machine. `x edgec` is the median over the rounds of edgec's latency relative to the peer's, with the middle
80 % of the rounds; `CPU` the same for CPU time, which says more where the machine has other work.
Load is from the file to a ready engine, in a fresh process, without the import of its library; first is the
first inference after that. The float preprocessing of the peers is not timed.

With several threads, edgec on one thread takes its turns too: its row has what they bring. The int8 peak is
measured before each table with that many cores at work: virtual CPUs may be two halves of one core for a
while, and then no engine gets faster with the second. Below the table is how long a signal took from one
core to another, before and after: that depends on whether they happen to share a cache.

With --isa avx2 edgec's engines are for AVX2, OpenVINO is held to it, and the others, which cannot be, are
left out. The processor still has more: on one without, caches and frequencies may differ.

edgec's engine is kept beside what it was built from: model, code, instruction set, tuned block sizes. It is
built again when one of them changes, or with --as-built never, which is said.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import network
from benchmarks.peers.machine_speed import machine_programs, peak_gmacs, signal_ns
from benchmarks.peers.network import CASES, PeerCase
from benchmarks.peers.peer_table import PeerSeen, rows
from pipeline.cache.code_at_start import ROOT
from pipeline.cache.digest import file_digest
from pipeline.cache.own_code import code_digest
from targets.processor import LIMIT, cpu_name
from targets.tvm.cpu_target import host_isa
from targets.tvm.isa import ISAS
from targets.tvm.tuning.database import digest

HERE = Path(__file__).parent / "peers"
BURST_MS = 60.0
"""The length of a turn: long enough that the others' effect on the caches has ended."""


@dataclass(frozen=True)
class PeerEngine:
    """An engine, the environment it lives in, and what is installed there."""

    name: str
    environment: str
    packages: tuple[str, ...]
    threads: int | None = None
    """Always this many, and not those of the table."""
    limit: str | None = None
    """The environment variable that holds it to an instruction set, if there is one."""

    def python(self, folder: Path) -> Path:
        """The interpreter of its environment, which is made at the first use."""
        if not self.packages:
            return Path(sys.executable)
        home = folder / self.environment
        if not (home / "ready").exists():
            print(f"installing {' '.join(self.packages)}", flush=True)
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
            subprocess.run([home / "bin/pip", "install", "-q", *self.packages], check=True)
            (home / "ready").touch()
        return home / "bin/python"

    @property
    def script(self) -> Path:
        """What runs there."""
        return HERE / f"run_{self.name.partition(',')[0]}.py"


_ONNX = ("onnxruntime==1.32.0", "openvino==2026.4.1", "onnx==1.23.0", "sympy==1.14.0", "numpy==2.4.6")
_MOBILE = (
    "torch==2.13.0",
    "pnnx==20261020",
    "ncnn==1.0.20261020",
    "mnn==3.6.1",
    "pillow==13.0.0",
    "numpy==2.4.6",
)
PEERS = (
    PeerEngine("edgec", "edgec", (), limit=LIMIT),
    PeerEngine("onnxruntime", "onnx", _ONNX),
    PeerEngine("openvino", "onnx", _ONNX, limit="ONEDNN_MAX_CPU_ISA"),
    PeerEngine("litert", "litert", ("torch==2.13.0", "litert-torch==0.10.0", "ai-edge-litert==2.3.0")),
    PeerEngine("executorch", "executorch", ("torch==2.13.0", "executorch==1.5.1", "torchao==0.18.0")),
    PeerEngine("ncnn", "mobile", _MOBILE),
    PeerEngine("mnn", "mobile", _MOBILE),
)
ONE_THREAD = PeerEngine("edgec, 1 thread", "edgec", (), threads=1, limit=LIMIT)
LIMITS = {"avx2": "AVX2"}
"""What OpenVINO calls instruction sets that engines can be held to."""


class Process:
    """A peer's process, waiting for its turn."""

    def __init__(
        self, peer: PeerEngine, folder: Path, case: Path, threads: int, isa: str | None = None
    ) -> None:
        command = [
            str(part) for part in (peer.python(folder), peer.script, "serve", case, peer.threads or threads)
        ]
        self._name, self._said = peer.name, tempfile.TemporaryFile()  # noqa: SIM115 -- closed below
        # Else a thread of NumPy's OpenBLAS spins for 20 ms after the import, also during the first inference.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **held(peer, isa)}
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=environment,
        )
        if self._child.stdin is None or self._child.stdout is None:
            raise RuntimeError("no pipes")
        self._tasks, self._answers = self._child.stdin, self._child.stdout
        self.started = self._answer()

    def ask(self, **task: object) -> dict[str, Any]:
        """Have the process do something."""
        self._tasks.write(json.dumps(task) + "\n")
        self._tasks.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        self._child.communicate()
        self._said.close()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            self._said.seek(0)
            raise RuntimeError(f"{self._name} ended early: {self._said.read()[-1000:].decode()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def held(peer: PeerEngine, isa: str | None) -> dict[str, str]:
    """The environment variable that holds a peer to an instruction set."""
    if isa is None or peer.limit is None:
        return {}
    return {peer.limit: isa if peer.limit == LIMIT else LIMITS[isa]}


def build(
    case: PeerCase,
    peers: Sequence[PeerEngine],
    folder: Path,
    isa: str | None = None,
    as_built: bool = False,
) -> Path:
    """Write the network and build every engine that is not there yet; returns their folder.

    With `as_built`, edgec's engine of other code is taken too, and a line says so.
    """
    place = folder / case.name
    if not (place / "logits.npy").exists():
        place.mkdir(parents=True, exist_ok=True)
        network.write(case, place)
    for peer in peers:
        built, wanted = place / f"{peer.name}.built", "" if peer.packages else _made_from(place, isa)
        if built.exists() and (peer.packages or built.read_text() == wanted):
            continue
        if as_built and not peer.packages and (place / "model.engine").exists():
            print(f"{case.name}: edgec's engine is not of this code, model, instruction set and block sizes")
            continue
        built.unlink(missing_ok=True)
        print(f"building {case.name} with {peer.name}", flush=True)
        command = [str(part) for part in (peer.python(folder), peer.script, "build", place)]
        environment = {**os.environ, **held(peer, isa)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise RuntimeError(f"{peer.name} could not build {case.name}:\n{done.stderr[-2000:]}")
        built.write_text(wanted)
    return place


def _made_from(place: Path, isa: str | None) -> str:
    """What edgec's engine depends on, as a line of text."""
    kind = ISAS[isa] if isa else host_isa()
    code = code_digest((ROOT / "targets/tvm", HERE / "run_edgec.py"))
    return f"{kind.name}, tiles {digest(kind)}, model {file_digest(place / 'model.int8.onnx')}, code {code}\n"


@contextmanager
def opened(
    peers: Sequence[PeerEngine], folder: Path, case: Path, threads: int, isa: str | None
) -> Iterator[dict[str, Process]]:
    """Processes of all peers."""
    with ExitStack() as stack:
        processes = {}
        for peer in peers:
            processes[peer.name] = Process(peer, folder, case, threads, isa)
            stack.callback(processes[peer.name].close)
        yield processes


def check_agreement(processes: dict[str, Process], case: Path) -> None:
    """Raise RuntimeError unless every engine's logits correlate with the float network's."""
    expected = np.load(case / "logits.npy").ravel()
    for name, process in processes.items():
        found = np.array(process.ask(logits=True)["logits"]).ravel()
        correlation = float(np.corrcoef(found, expected)[0, 1])
        print(f"{name}: correlation with the float network {correlation:.3f}", flush=True)
        if not correlation > CASES[case.name].correlation:
            raise RuntimeError(
                f"the logits of {name} are not the float network's: correlation {correlation:.3f}"
            )


def measure(
    peers: Sequence[PeerEngine],
    folder: Path,
    case: Path,
    threads: int,
    seconds: float,
    starts: int,
    isa: str | None = None,
) -> dict[str, PeerSeen]:
    """Time all peers in turns."""
    peers = [*peers, *([ONE_THREAD] if threads > 1 else [])]
    seen = {peer.name: PeerSeen() for peer in peers}
    for _ in range(starts):
        for peer in peers:
            with opened([peer], folder, case, threads, isa) as processes:
                _note_start(seen[peer.name], processes[peer.name])
    with opened(peers, folder, case, threads, isa) as processes:
        check_agreement(processes, case)
        runs = {name: _runs_in_a_burst(process) for name, process in processes.items()}
        end = time.monotonic() + seconds
        order = list(processes)
        while time.monotonic() < end:
            for name in order:
                answer = processes[name].ask(time=runs[name])
                latencies = [ns / 1e6 for ns in answer["ns"]]
                seen[name].latencies_ms += latencies
                seen[name].rounds_ms.append(statistics.median(latencies))
                seen[name].rounds_cpu_ms.append(answer["cpu_ns"] / 1e6 / len(latencies))
            order.reverse()
    return seen


def _note_start(seen: PeerSeen, process: Process) -> None:
    seen.load_ms.append(float(process.started["load_ms"]))
    seen.first_ms.append(float(process.started["first_ms"]))


def _runs_in_a_burst(process: Process) -> int:
    process.ask(time=3)
    each: float = statistics.median(process.ask(time=5)["ns"]) / 1e6
    return max(3, round(BURST_MS / each))


def macs(case: Path) -> int:
    """Multiply-accumulates of an inference, from the engine."""
    from targets.runtime.native_runner import read_engine

    return int(read_engine(case / "model.engine")[0]["macs"])


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=20.0, help="for each model and number of threads")
    parser.add_argument("--starts", type=int, default=3, help="fresh processes for load and first inference")
    parser.add_argument(
        "--peers", nargs="+", default=[p.name for p in PEERS], choices=[p.name for p in PEERS]
    )
    parser.add_argument("--isa", choices=list(LIMITS), help="hold edgec and OpenVINO to an instruction set")
    parser.add_argument("--folder", type=Path, default=Path("out/peers"))
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--as-built", action="store_true", help="time edgec's engine of other code, if any")
    options = parser.parse_args()
    peers = [peer for peer in PEERS if peer.name in {"edgec", *options.peers}]
    places = {
        name: build(CASES[name], peers, options.folder, options.isa, options.as_built)
        for name in options.models
    }
    if options.isa:  # OpenVINO reads what onnxruntime's quantiser wrote, so that is built all the same
        peers = [peer for peer in peers if peer.limit]
    if options.build_only:
        return
    limited = f", held to {options.isa}" if options.isa else ""
    print(f"{cpu_name()}{limited}, {date.today()}, batch 1")
    with machine_programs() as programs:
        for name, place in places.items():
            for threads in options.threads:
                peak = peak_gmacs(programs, threads)
                print(f"\n{name}, {threads} thread{'s' * (threads > 1)}, int8 peak {peak:.0f} GMAC/s")
                before = signal_ns(programs) if threads > 1 else 0.0
                times = options.seconds, options.starts
                seen = measure(peers, options.folder, place, threads, *times, options.isa)
                for row in rows(seen, peak, macs(place) / 1e9):
                    print(row, flush=True)
                if threads > 1:
                    after = signal_ns(programs)
                    print(f"a signal to the other core took {before:.0f} ns, and {after:.0f} ns later")


if __name__ == "__main__":
    main()
