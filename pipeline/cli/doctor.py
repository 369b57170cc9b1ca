"""edgec doctor: checks whether this machine has everything that a build needs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.console import make_progress, print_table, say_json
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.readiness import Finding


def doctor(
    model: Annotated[
        Path | None, typer.Argument(help="An .onnx file: guess its input format instead.")
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            help="A picture or a folder of pictures to try the guess on; may be given several times."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="A labelled data set: choose the guess by accuracy; without a model, check the data set."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="ssh://user@host:port, or a name from `edgec devices`: check that board instead."),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the guess to a file beside the model.")
    ] = False,
    out: options.Out = None,
    as_json: options.Json = False,
) -> None:
    """Check Python, packages, targets, data and disk. Exit code 1 if a build would fail.

    With an ONNX file: find layout, size and normalisation of its input, by accuracy on labelled images
    (--data) or by the statistics in its batch norms (--image). If the normalisation stays undecided, its
    candidates are written as comments; then nothing can be built, and the exit code is 1.

    With --data alone: read every picture of a data set, and count them by role and class.

    With --device: check what that board lacks for engines, measuring and cameras, and print the commands
    that install or fix it. The board needs only Python.

    Example: edgec doctor
    """
    _refuse_what_needs_a_model(model, {"--image": image, "--write": write})
    if device is not None:
        _refuse_beside_a_device({"MODEL": model, "--data": data})
        _board(device, as_json)
        return
    if model is not None:
        from pipeline.cli.describe import describe

        describe(model, image or [], data, write, as_json)
        return
    if data is not None:
        from pipeline.data_readiness import data_findings

        _show(list(data_findings(data, make_progress(as_json))), as_json)
        return
    from pipeline.readiness import findings

    _show(findings(out or Path("out")), as_json)


def _refuse_what_needs_a_model(model: Path | None, given: Mapping[str, object]) -> None:
    asked = _first(given)
    if model is None and asked:
        raise UsageError(f"{asked} needs the network: edgec doctor NETWORK.onnx {asked}.")


def _refuse_beside_a_device(given: Mapping[str, object]) -> None:
    asked = _first(given)
    if asked:
        raise UsageError(f"--device checks a board, and takes no {asked}. Check one after the other.")


def _first(given: Mapping[str, object]) -> str:
    """Return the name of the first option that has a value, or nothing."""
    return next((name for name, value in given.items() if value), "")


def _show(found: "Sequence[Finding]", as_json: bool) -> None:
    if as_json:
        say_json(json.dumps([asdict(finding) for finding in found]))
    else:
        _print([(one.fine, one.what, one.found, one.advice) for one in found])
    if any(finding.fine is False for finding in found):
        raise typer.Exit(1)


def _board(device: str, as_json: bool) -> None:
    from pipeline.known_devices import find_device
    from targets.reach.probe import check_board
    from targets.reach.ssh import SshDevice

    found = check_board(SshDevice(find_device(device)))
    if as_json:
        say_json(json.dumps([finding._asdict() for finding in found]))
    else:
        _print([(one.fine, one.what, one.found, one.command) for one in found])
    if any(finding.fine is False for finding in found):
        raise typer.Exit(1)


def _print(rows: list[tuple[bool | None, str, str, str]]) -> None:
    mark = {True: "[green]ok[/green]", False: "[red]no[/red]", None: ""}
    shown = [(mark[fine], *rest) for fine, *rest in rows]
    print_table(("", "what", "found", "what to do"), shown)
