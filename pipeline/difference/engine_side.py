"""An engine as a side: on this machine, in the emulator, or on its board; and its debug build."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.difference.side import Array, Pictures, Side, bounded_graph, graph_side, takes_pixels
from pipeline.errors import UsageError
from targets.base import EngineKind, EngineRunner
from targets.runtime.bundle.signature import PublicKey

if TYPE_CHECKING:
    from targets.tvm.debug_engine import DebugEngine

DEBUGGED = 2
"""Pictures that a debug engine is given: its output is all its memory."""
EMULATED = 32
"""The most pictures that are emulated: one takes a thousand times as long as on the board."""


@contextmanager
def engine_side(path: Path, graph: Path, name: str, device: str | None = None) -> Iterator[Side]:
    """Open an engine. graph: the Q/DQ network that it was compiled from, if there is such a file.

    device: ssh://..., where it runs; if None, here, or in the emulator. Raises EngineError, TargetUnavailable
    or a DeviceError.
    """
    from targets.errors import EngineError
    from targets.runtime.native_runner import read_engine

    try:
        metadata, _ = read_engine(path)
        model = bounded_graph(graph) if graph.is_file() else None
        with _running(path, metadata["isa"], device) as (runner, where):
            ran_on = where if device is None else _named(device)
            yield Side(
                name=name,
                logits=runner.infer,
                graph=model,
                size=tuple(metadata["image"]),
                notes=(f"{name} runs {where}",) if where else (),
                inspected=None if model is None else _inspection(graph, metadata["isa"], device),
                is_exact=None
                if model is None
                else lambda pictures: _has_defined_bits(runner, graph, pictures),
                ran_on=ran_on,
            )
    except (OSError, ValueError) as error:
        raise EngineError(str(error)) from error


@contextmanager
def _running(
    path: Path, isa: str, device: str | None, tested: bool = True
) -> Iterator[tuple[EngineRunner, str]]:
    """Start an engine where it can run, and say where, unless it is here. tested: by its golden images."""
    from targets.reach.emulator import EmulatedRunner
    from targets.runtime.cpu import why_not
    from targets.runtime.native_runner import open_engine

    if device is not None:
        with _on_device(path, device, tested) as runner:
            yield runner, f"on {device}"
    elif why_not(isa) is None:
        with open_engine(path, 1) as native:
            yield native, ""
    else:
        cpu = _emulated_cpu(isa)
        yield EmulatedRunner(path, cpu), f"emulated (qemu-aarch64 -cpu {cpu})"


@contextmanager
def _on_device(path: Path, device: str, tested: bool) -> Iterator[EngineRunner]:
    from pipeline.known_devices import find_device
    from targets.reach.remote import StreamRunner, start_remote
    from targets.reach.sent_files import sent
    from targets.reach.ssh import SshDevice
    from targets.runtime.native_runner import read_engine

    reached = SshDevice(find_device(device))
    if tested:
        runner = start_remote(reached, path, 1)
    else:
        metadata, _ = read_engine(path)
        command = [f"./{sent(reached, path)}", "logits", "--threads", "1"]
        runner = StreamRunner(reached, command, tuple(metadata["image"]), int(metadata["classes"]))
    try:
        yield runner
    finally:
        runner.close()


def _named(device: str) -> str:
    """Return a device's address and what it says it is; the address alone where it has no Python."""
    from pipeline.known_devices import find_device
    from targets.errors import DeviceError
    from targets.reach.probe import probe
    from targets.reach.ssh import SshDevice

    try:
        return f"{device}: {probe(SshDevice(find_device(device))).identity}"
    except DeviceError:  # engines run without
        return device


def _emulated_cpu(isa: str) -> str:
    """Return the processor to emulate for an instruction set. Raises UsageError for one of another kind."""
    from targets.devices import boards

    found = next((board.emulated_cpu for board in boards().values() if board.isa == isa), None)
    if found is None:
        raise UsageError(
            f"An engine for {isa} does not run here. Compare it where it runs: give --device, or the folder"
            " of a build for this machine."
        )
    return found


def _has_defined_bits(runner: EngineRunner, graph: Path, pictures: Pictures) -> bool:
    """Whether an engine's logits are those that the integer graph defines. Raises EngineError."""
    from targets.tvm import oracle
    from targets.tvm.importer import import_graph

    few = pictures[:DEBUGGED]
    defined = np.asarray(oracle.run(import_graph(graph), few))
    return bool(np.array_equal(np.asarray(runner.infer(few)).reshape(defined.shape), defined))


def _inspection(graph: Path, isa: str, device: str | None) -> Callable[[Pictures], str]:
    return lambda pictures: inspect_engine(graph, isa, device, pictures[:DEBUGGED])


def inspect_engine(graph: Path, isa: str, device: str | None, pictures: Pictures) -> str:
    """Compile a Q/DQ network so that its engine gives every tensor, run it, and compare with the definition.

    Raises EngineError where the network cannot be compiled.
    """
    from targets.tvm.debug_engine import write_debug_engine
    from targets.tvm.importer import import_graph
    from targets.tvm.isa import ISAS

    with tempfile.TemporaryDirectory(prefix="edgec-debug-") as folder:
        engine = Path(folder) / "debug.engine"
        debug = write_debug_engine(import_graph(graph), ISAS[isa], engine)
        with _running(engine, isa, device, tested=False) as (runner, where):
            output = runner.infer(pictures)
    return _inspected(debug, output, pictures, f"{isa}{', ' if where else ''}{where}")


def _inspected(debug: "DebugEngine", output: Array, pictures: Pictures, where: str) -> str:
    differing = debug.differing(np.asarray(output, np.float32), pictures)
    wrong = {name: count for name, count in differing.items() if count}
    of = f"of {len(differing)} tensors of a debug build ({where}), on {len(pictures)} pictures"
    if not wrong:
        return f"every number {of}, is the one that the integer graph defines"
    first, count = next(iter(wrong.items()))
    return (
        f"{len(wrong)} {of}, are not what the integer graph defines; the first is {first!r}, {count} numbers:"
        " this is a bug of edgec's"
    )


@contextmanager
def bundle_side(path: Path, trusted: Sequence[PublicKey], device: str | None) -> Iterator[Side]:
    """Open a bundle's engine; what it computes is looked up in the folder of its build, if that is beside it.

    With `trusted` keys, one of them must have signed the bundle.
    """
    from pipeline.bundle.contents import opened
    from targets.registry import kind_of_engine

    with (
        tempfile.TemporaryDirectory(prefix="edgec-diff-") as folder,
        opened(path, trusted) as held,
    ):
        manifest = held.manifest
        engine = Path(folder) / Path(manifest.engine).name
        engine.write_bytes(held.read(manifest.engine))
        match kind_of_engine(manifest.runner):
            case EngineKind.PROCESSOR_CODE:
                beside = path.with_suffix("") / "model.int8.onnx"
                with engine_side(engine, beside, str(path), device) as side:
                    yield side
            case EngineKind.GRAPH:
                model = bounded_graph(engine)
                assert takes_pixels(model)  # noqa: S101 - bundles hold no other
                yield graph_side(model, str(path))
            case EngineKind.OF_ONE_DEVICE:
                raise UsageError(
                    f"{path} is for {manifest.target}, whose engine runs only on the device. Give the folder"
                    " of its build, which has the Q/DQ network."
                )
