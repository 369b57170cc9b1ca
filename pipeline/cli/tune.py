"""edgec tune: finds the fastest block sizes of a network's convolutions on a device."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.console import say
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from targets.runtime.quantile import QuantileEstimate
    from targets.tvm.isa import Isa
    from targets.tvm.tuning.cost import Cost


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
) -> None:
    """Try block sizes for every convolution and remember the fastest; the next build uses them.

    Example: edgec tune out/resnet20-fashion-rpi5/model.int8.onnx --target rpi5 --device ssh://pi@raspberrypi
    """
    from pipeline.cache.store import writing
    from targets.tvm.importer import import_graph
    from targets.tvm.tuning import database
    from targets.tvm.tuning.search import convolutions, gained, tune

    if not model.is_file() or not os.access(model, os.R_OK):
        raise UsageError(f"{model} cannot be read. Give a build's model.int8.onnx.")
    isa, cost = _device(target or "host", device, milliseconds)
    where = database.processor(isa)
    wanted = convolutions(import_graph(model), isa)
    say(f"{len(wanted)} convolutions, {isa.name}, measured in {cost.unit}")
    place = folder or database.users()
    with writing(place, "--folder"):
        done = []
        for one in tune(wanted, isa, cost, typer.echo, tiles):
            database.add([one.entry], isa, where, place)  # at once, so that Ctrl-C loses nothing
            done.append(one)
    say(f"saved in {place}")
    if done:
        say(brought(gained(done), cost.unit))


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
