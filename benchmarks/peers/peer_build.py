"""Building one network with every engine, each in its own environment."""

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.peers import network
from benchmarks.peers.network import PeerCase
from benchmarks.peers.peer_engine import HERE, PeerEngine, held
from pipeline.cache.code_at_start import ROOT
from pipeline.cache.digest import file_digest
from pipeline.cache.own_code import code_digest
from targets.tvm.cpu_target import host_isa
from targets.tvm.isa import ISAS
from targets.tvm.tuning.database import digest


@dataclass(frozen=True)
class BuiltPeers:
    """A network's folder, and the engines that could build it."""

    place: Path
    peers: tuple[PeerEngine, ...]

    def only(self, wanted: Callable[[PeerEngine], bool]) -> "BuiltPeers":
        """The same network with some of the engines."""
        return replace(self, peers=tuple(filter(wanted, self.peers)))


def build(
    case: PeerCase,
    peers: Sequence[PeerEngine],
    folder: Path,
    isa: str | None = None,
    as_built: bool = False,
) -> BuiltPeers:
    """Write the network and build every engine that is not there yet.

    A peer that cannot build it is named with its reason, and left out. With `as_built`, edgec's engine of
    other code is taken too, and a line says so.
    """
    place = folder / case.name
    if not (place / "logits.npy").exists():
        place.mkdir(parents=True, exist_ok=True)
        network.write(case, place)
    return BuiltPeers(place, tuple(peer for peer in peers if _builds(peer, place, folder, isa, as_built)))


def _builds(peer: PeerEngine, place: Path, folder: Path, isa: str | None, as_built: bool) -> bool:
    built, wanted = place / f"{peer.name}.built", "" if peer.packages else _made_from(place, isa)
    if built.exists() and (peer.packages or built.read_text() == wanted):
        return True
    if as_built and not peer.packages and (place / "model.engine").exists():
        print(f"{place.name}: edgec's engine is not of this code, model, instruction set and block sizes")
        return True
    built.unlink(missing_ok=True)
    print(f"building {place.name} with {peer.name}", flush=True)
    command = [str(part) for part in (peer.python(folder), peer.script, "build", place)]
    environment = {**os.environ, **held(peer, isa)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if not done.returncode:
        built.write_text(wanted)
        return True
    if not peer.packages:
        raise RuntimeError(f"{peer.name} could not build {place.name}:\n{done.stderr[-2000:]}")
    said = [line for line in done.stderr.splitlines() if line.strip()]
    print(f"{peer.name} cannot build {place.name}: {said[-1] if said else 'it said nothing'}", flush=True)
    return False


def _made_from(place: Path, isa: str | None) -> str:
    """What edgec's engine depends on, as a line of text."""
    kind = ISAS[isa] if isa else host_isa()
    code = code_digest((ROOT / "targets/tvm", HERE / "run_edgec.py"))
    return f"{kind.name}, tiles {digest(kind)}, model {file_digest(place / 'model.int8.onnx')}, code {code}\n"
