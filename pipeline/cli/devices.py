"""edgec deploy, and edgec devices list, add and check."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.console import make_progress, print_table, say, say_json, terminal
from pipeline.cli.verify import Keys, keys_to_trust
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.build.board_pool import SeenBoard

app = typer.Typer(help="Name devices, and show who uses them, who waits for them, and their health.")

Device = Annotated[str, typer.Option(help="ssh://user@host:port, or a name from `edgec devices`.")]


def deploy(
    bundle: Annotated[Path, typer.Argument(help="The .edgec file; with --rollback, its name as in out/.")],
    device: Device,
    key: Keys = None,
    python: Annotated[
        str | None,
        typer.Option(help="The device's Python that has NumPy and OpenCV. Default: its python3."),
    ] = None,
    rollback: Annotated[
        bool,
        typer.Option("--rollback", help="Switch back to the previous version, without sending anything."),
    ] = False,
    allow_downgrade: Annotated[
        bool, typer.Option("--allow-downgrade", help="Accept a lower release than the device has had.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Install a bundle on a device over SSH: send it, check and test it there, then switch to it.

    Example: edgec deploy out/resnet20-fashion-rpi5.edgec --device ssh://pi@raspberrypi.local
    """
    from pipeline.bundle import deploy as deployment
    from pipeline.known_devices import find_device
    from targets.reach.ssh import SshDevice

    reached = SshDevice(find_device(device).with_python(python))
    progress = make_progress(as_json)
    if rollback:
        done = deployment.roll_back(reached, bundle.name.removesuffix(".edgec"), keys_to_trust(key), progress)
    else:
        trusted = keys_to_trust(key)
        done = deployment.deploy(reached, bundle, trusted, progress, allow_downgrade=allow_downgrade)
    if as_json:
        say_json(json.dumps(asdict(done)))
        return
    say(f"{done.device}: {done.folder}/current is version {done.version}; self-test passed")
    say(f"run there: {done.folder}/current/run camera")


def installer(
    output: Annotated[Path, typer.Argument(help="The file to write.")] = Path("edgec-install.pyz"),
) -> None:
    """Write a program that checks and installs bundles on a device without SSH. It only needs Python.

    Example: edgec installer; then on the device: python3 edgec-install.pyz model.edgec --into model
    """
    from pipeline.bundle.deploy import installer as make_installer
    from pipeline.cache.atomic import replacing
    from pipeline.cache.store import writing

    with writing(output.parent, "the name of the file"), replacing(output) as scratch:
        scratch.write_bytes(make_installer())
    say(f"{output}   copy it to the device once: python3 {output.name} BUNDLE --into FOLDER")


@app.callback(invoke_without_command=True)
def devices(context: typer.Context) -> None:
    """Name devices, and show who uses them, who waits for them, and their health."""
    if context.invoked_subcommand is None:
        status(None)


@app.command()
def status(
    device: Annotated[list[str] | None, typer.Argument(help="Names; all named ones by default.")] = None,
    as_json: options.Json = False,
) -> None:
    """Show who uses each device, who waits for it, and its health. Exit code 1 if one should not be used.

    Example: edgec devices status
    """
    from pipeline.build.board_pool import seen
    from pipeline.known_devices import find_device, known_devices

    known = known_devices()
    for name in device or ():
        if name not in known:
            find_device(name)
            raise UsageError(f"{name} has no name yet: edgec devices add NAME {name}")
    wanted = [known[name] for name in device or known]
    if not wanted:
        say("No device has a name yet: edgec devices add pi5 ssh://pi@raspberrypi.local")
        return
    boards = seen(wanted)
    if as_json:
        say_json(json.dumps([asdict(board) for board in boards], default=str))
    else:
        from pipeline.report.table import FigureTable

        headings = "labels", "used by", "waiting", "temperature", "clocks", "disk", "self-test", "problem"
        table = FigureTable("device", *headings)
        for board in boards:
            table.add_row(*_shown(board))
        terminal().print(table)
    if any(board.problem or board.aside for board in boards):
        raise typer.Exit(1)


def _shown(board: "SeenBoard") -> tuple[str, ...]:
    name, labels = board.device.name, ", ".join(board.device.labels)
    aside = f"set aside: {board.aside.reason}" if board.aside else ""
    now = "" if board.problem in aside else board.problem
    problem = "; ".join(filter(None, (aside, now)))
    state = board.state
    if state is None:
        return name, labels, "", "", "", "", "", "", problem
    holder = "nobody" if state.holder is None else f"{state.holder.owner}, {state.holder.seconds:.0f} s"
    clocks = [*state.governors, *([f"{max(state.frequencies_mhz):.0f} MHz"] if state.frequencies_mhz else [])]
    return (
        name,
        labels,
        holder,
        "\n".join(f"{one.owner}, {one.seconds:.0f} s" for one in state.waiting) or "nobody",
        "not known" if state.temperature_c is None else f"{state.temperature_c:.0f} °C",
        ", ".join([*clocks, *state.limits]) or "not known",
        f"{state.free_bytes / 2**30:.1f} GiB free",
        state.selftest or "none yet",
        problem,
    )


@app.command("list")
def list_devices(as_json: options.Json = False) -> None:
    """List the named devices.

    Example: edgec devices list
    """
    from pipeline.known_devices import known_devices

    devices = known_devices()
    if as_json:
        say_json(json.dumps({name: str(device.address) for name, device in devices.items()}))
    elif devices:
        for device in devices.values():
            say(f"{device.name}  {device.address}")
    else:
        say("No device has a name yet: edgec devices add pi5 ssh://pi@raspberrypi.local")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The name, such as pi5.")],
    address: Annotated[str, typer.Argument(help="ssh://user@host:port")],
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="A label of the device: --device any:LABEL uses any device with it. May be repeated."
        ),
    ] = None,
) -> None:
    """Give a device a name. Nothing is sent to it.

    Example: edgec devices add pi5 ssh://pi@raspberrypi.local
    """
    from pipeline.known_devices import add_device
    from targets.reach.ssh import SshAddress

    say(f"{name} is in {add_device(name, SshAddress.parse(address), labels=label)}")


@app.command()
def check(
    device: Annotated[
        list[str] | None, typer.Argument(help="Names or ssh://...; all named ones by default.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show the hardware of devices, and what they lack. Exit code 1 if one cannot be reached or used.

    Example: edgec devices check pi5
    """
    from pipeline.build.board_pool import take_back
    from pipeline.known_devices import known_devices

    wanted = device or list(known_devices())
    if not wanted:
        raise UsageError("No device has a name yet. Give one as ssh://user@host.")
    rows = [_checked(name) for name in wanted]
    if as_json:
        say_json(json.dumps(rows))
    else:
        print_table(("device", "what it is", "has", "lacks"), [tuple(row.values()) for row in rows])
    for row in rows:
        if not row["lacks"]:
            take_back(row["device"])
    if any(row["lacks"] for row in rows):
        raise typer.Exit(1)


def _checked(name: str) -> dict[str, str]:
    from pipeline.known_devices import find_device
    from targets.errors import DeviceError
    from targets.reach.probe import probe
    from targets.reach.ssh import SshDevice

    try:
        facts = probe(SshDevice(find_device(name)))
    except DeviceError as error:
        return {"device": name, "what": "", "has": "", "lacks": str(error)}
    has = (
        f"Python {'.'.join(map(str, facts.python))}, NumPy {facts.numpy}, OpenCV {facts.opencv},"
        f" {facts.memory_bytes / 2**30:.1f} GiB memory, {facts.free_bytes / 2**30:.1f} GiB free"
    )
    return {"device": name, "what": facts.identity, "has": has, "lacks": "; ".join(facts.missing())}
