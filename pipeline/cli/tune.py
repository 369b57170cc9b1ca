"""edgec tune: finds the fastest block sizes of a network's convolutions on a device."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.console import make_progress, say
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from targets.runtime.quantile import QuantileEstimate
    from targets.tvm.isa import Isa
    from targets.tvm.tuning.cost import Cost
    from targets.tvm.tuning.search import Tuned


def tune(
    model: Annotated[Path, typer.Argument(help="A model.int8.onnx, such as a build leaves in its folder.")],
    target: options.Target = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="ssh://user@host: time candidates there. Default: here; for ARM, instructions are counted."
        ),
    ] = None,
    milliseconds: Annotated[
        int, typer.Option(min=100, help="How long the candidates for one convolution are timed.")
    ] = 2000,
    tiles: Annotated[
        int, typer.Option(min=1, help="How many block sizes are tried for each convolution.")
    ] = 12,
    folder: Annotated[
        Path | None, typer.Option(help="Folder for the results. Default: your user's database.")
    ] = None,
    on: options.On = None,
    out: Annotated[Path, typer.Option(help="Folder of the store, which keeps what was counted.")] = Path(
        "out"
    ),
) -> None:
    """Try block sizes for every convolution and remember the fastest; the next build uses them.

    Example: edgec tune out/resnet20-fashion-rpi5/model.int8.onnx --target rpi5 --device ssh://pi@raspberrypi
    """
    from pipeline.cache.store import writing
    from targets.tvm.tuning import database
    from targets.tvm.tuning.search import gained

    if not model.is_file() or not os.access(model, os.R_OK):
        raise UsageError(f"{model} cannot be read. Give a build's model.int8.onnx.")
    isa, cost = _device(target or "host", device, milliseconds)
    where = database.processor(isa)
    place = folder or database.users()
    if cost.is_exact:
        found = _counted(model, target or "host", tiles, on, out)
    elif on is None:
        found = _timed(model, isa, cost, tiles)
    else:
        raise UsageError(
            "--on distributes the counting of instructions, for ARM without --device. Times of several"
            " machines cannot be compared: leave --on out."
        )
    with writing(place, "--folder"):
        done = []
        for one in found:
            say(str(one))
            database.add([one.entry], isa, where, place)  # at once, so that Ctrl-C loses nothing
            done.append(one)
    say(f"saved in {place}")
    if done:
        say(brought(gained(done), cost.unit))


def _timed(model: Path, isa: "Isa", cost: "Cost", tiles: int) -> "Iterator[Tuned]":
    """Yield the best tile of each convolution, timed one after the other."""
    from targets.tvm.importer import import_graph
    from targets.tvm.tuning.search import convolutions, tune

    wanted = convolutions(import_graph(model), isa)
    say(f"{len(wanted)} convolutions, {isa.name}, measured in {cost.unit}")
    for one in wanted:
        yield tune(one, cost, tiles)


def _counted(model: Path, target: str, tiles: int, on: str | None, out: Path) -> "Iterator[Tuned]":
    """Yield the best tile of each convolution, counted here or by workers."""
    from pipeline.build.counted_tuning import count_tiles
    from pipeline.build.requested_unit import TuningRequest
    from pipeline.cache.store import Store
    from pipeline.units.open_workers import open_workers

    request = TuningRequest(model=str(model.absolute()), target=target, tiles=tiles)
    with open_workers(on) as workers:
        yield from count_tiles(request, Store(out / "store"), workers, make_progress(False))


def brought(found: "QuantileEstimate", unit: str) -> str:
    """Report the gain of tuning: the cost of all convolutions relative to that of estimated sizes."""
    if unit != "ns":
        return f"These convolutions execute {found.value:.3f} times the {unit} of estimated sizes."
    high = "unbounded" if found.high is None else f"{found.high:.3f}"
    return (
        f"These convolutions take {found.value:.3f} times as long as with estimated sizes, "
        f"95 % interval [{found.low:.3f}, {high}]."
    )


def _device(target: str, address: str | None, milliseconds: int) -> "tuple[Isa, Cost]":
    """The instruction set of a target, and the way its candidates are compared. Raises UsageError."""
    from targets import devices
    from targets.reach.ssh import SshAddress
    from targets.tvm.cpu_target import host_isa
    from targets.tvm.isa import ISAS
    from targets.tvm.tuning.cost import Counted, TimedHere, TimedOnDevice

    known = devices.boards()
    if target == "host":
        if address is not None:
            raise UsageError("--device needs the target of that board, such as --target rpi5.")
        return host_isa(), TimedHere(milliseconds)
    if target not in known:
        raise UsageError(f"{target!r} cannot be tuned. Allowed: host, {', '.join(known)}.")
    board = known[target]
    if address is None:
        return ISAS[board.isa], Counted(board.emulated_cpu)
    return ISAS[board.isa], TimedOnDevice(SshAddress.parse(address), milliseconds)
