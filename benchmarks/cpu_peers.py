"""Our engine against six others on this CPU, measured alternately.

    python -m benchmarks.cpu_peers [--models resnet20 ... unet] [--threads 1 2] [--seconds 20] [--isa avx2]
                                   [--as-built]

Every peer is installed once in a virtual environment of its own below out/peers, at the versions in PEERS,
and given the same weights, calibration images and pictures; the logits of all have to correlate with the
float network's. A peer that cannot build a network, or gives other logits, is named and left out.
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
import statistics
import time
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.peers.machine_speed import machine_programs, peak_gmacs, signal_ns
from benchmarks.peers.network import CASES
from benchmarks.peers.peer_build import BuiltPeers, build
from benchmarks.peers.peer_engine import LIMITS, ONE_THREAD, PEERS
from benchmarks.peers.peer_process import Process, opened
from benchmarks.peers.peer_table import PeerSeen, rows
from targets.processor import cpu_name

BURST_MS = 60.0
"""The length of a turn: long enough that the others' effect on the caches has ended."""


def with_the_same_logits(processes: dict[str, Process], case: Path) -> list[str]:
    """Return the engines whose logits correlate with the float network's; the others are named.

    Raises RuntimeError if edgec's do not.
    """
    expected = np.load(case / "logits.npy").ravel()
    same = []
    for name, process in processes.items():
        found = np.array(process.ask(logits=True)["logits"]).ravel()
        correlation = float(np.corrcoef(found, expected)[0, 1])
        print(f"{name}: correlation with the float network {correlation:.3f}", flush=True)
        if correlation > CASES[case.name].correlation:
            same.append(name)
        elif name == PEERS[0].name:
            raise RuntimeError(f"{name} has other logits: correlation {correlation:.3f}")
        else:
            print(f"{name} has other logits and is left out", flush=True)
    return same


def measure(
    built: BuiltPeers, folder: Path, threads: int, seconds: float, starts: int, isa: str | None = None
) -> dict[str, PeerSeen]:
    """Time all engines in turns."""
    peers = [*built.peers, *([ONE_THREAD] if threads > 1 else [])]
    with opened(peers, folder, built.place, threads, isa) as processes:
        same = with_the_same_logits(processes, built.place)
        seen = {name: PeerSeen() for name in same}
        _take_turns({name: processes[name] for name in same}, seen, seconds)
    for _ in range(starts):
        for peer in peers:
            if peer.name in seen:
                with opened([peer], folder, built.place, threads, isa) as processes:
                    _note_start(seen[peer.name], processes[peer.name])
    return seen


def _take_turns(processes: dict[str, Process], seen: dict[str, PeerSeen], seconds: float) -> None:
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
    networks = [
        build(CASES[name], peers, options.folder, options.isa, options.as_built) for name in options.models
    ]
    if options.isa:  # OpenVINO reads what onnxruntime's quantiser wrote, so that is built all the same
        networks = [one.only(lambda peer: peer.limit is not None) for one in networks]
    if options.build_only:
        return
    limited = f", held to {options.isa}" if options.isa else ""
    print(f"{cpu_name()}{limited}, {date.today()}, batch 1")
    with machine_programs() as programs:
        for built in networks:
            for threads in options.threads:
                peak = peak_gmacs(programs, threads)
                many = "s" * (threads > 1)
                print(f"\n{built.place.name}, {threads} thread{many}, int8 peak {peak:.0f} GMAC/s")
                before = signal_ns(programs) if threads > 1 else 0.0
                times = options.seconds, options.starts
                seen = measure(built, options.folder, threads, *times, options.isa)
                for row in rows(seen, peak, macs(built.place) / 1e9):
                    print(row, flush=True)
                if threads > 1:
                    after = signal_ns(programs)
                    print(f"a signal to the other core took {before:.0f} ns, and {after:.0f} ns later")


if __name__ == "__main__":
    main()
