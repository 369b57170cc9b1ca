"""edgec doctor: is everything here that a build needs?"""

import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipeline.cache.own_code import ROOT
from pipeline.cli import options
from pipeline.cli.describe import describe
from pipeline.data.embedded import EMBEDDED
from pipeline.models.zoo import KNOWN_MODELS
from targets.errors import TargetUnavailable
from targets.processor import LIMIT, cpu_flags, cpu_name
from targets.reference import ReferenceTarget
from targets.registry import find_target, names

INT8_FLAGS = ("avx512_vnni", "avx_vnni", "amx_int8", "avx2", "i8mm", "asimddp")
FREE_GIB = 1.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `fine` is None where it is only worth knowing."""

    what: str
    found: str
    fine: bool | None
    advice: str = ""


def doctor(
    model: Annotated[
        Path | None, typer.Argument(help="An .onnx file: guess how it wants its input instead.")
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(help="A picture to show the guess on, or a folder of them; may be given several times."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A labelled data set: the guess is chosen by accuracy.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the guess beside the model.")] = False,
    out: options.Out = None,
    as_json: options.Json = False,
) -> None:
    """Check Python, packages, targets, data and disk. Exit code 1 if a build would fail.

    With an ONNX file: find layout, size and normalisation of its input, by accuracy on labelled images
    (--data) or by what its batch norms remember (--image). Only what is clear is written.

    Example: edgec doctor
    """
    if model is not None:
        describe(model, image or [], data, write, as_json)
        return
    machine = [_disk(out or Path("out")), _processor(), _exactness()]
    findings = [_python(), *_packages(), *_targets(), _data(), *machine]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        table = Table("", "what", "found", "what to do")
        for one in findings:
            mark = {True: "[green]ok[/green]", False: "[red]no[/red]", None: ""}[one.fine]
            table.add_row(mark, one.what, one.found, one.advice)
        Console().print(table)
    if any(finding.fine is False for finding in findings):
        raise typer.Exit(1)


def _python() -> Finding:
    fine = platform.python_version_tuple()[:2] == ("3", "11")
    return Finding("Python", platform.python_version(), fine, "" if fine else "the pins are for Python 3.11")


def _packages() -> Iterator[Finding]:
    """Compare what is installed with constraints.txt; only what differs is worth a line each."""
    pins = re.findall(r"^([\w.-]+)==([\w.+-]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    wrong = []
    for name, pinned in pins:
        try:
            found = version(name).partition("+")[0]  # torch adds +cpu
        except PackageNotFoundError:
            found = "missing"
        if found != pinned:
            wrong.append(Finding(name, found, False, f"pinned is {pinned}: run `make setup`"))
    yield from wrong
    if not wrong:
        yield Finding("packages", f"{len(pins)} as pinned", True)


def _targets() -> Iterator[Finding]:
    for name in names():
        try:
            find_target(name).check()
            yield Finding(f"target {name}", "ready", True)
        except TargetUnavailable as error:
            yield Finding(f"target {name}", "not available", None, str(error))


def _data() -> Finding:
    missing = [
        m.weights for m in KNOWN_MODELS if m.data == EMBEDDED and not (EMBEDDED / str(m.weights)).is_file()
    ]
    if missing:
        return Finding(
            "embedded data", f"{', '.join(map(str, missing))} missing", False, "restore data/ from git"
        )
    return Finding("embedded data", str(EMBEDDED), True)


def _disk(out: Path) -> Finding:
    folder = next(place for place in (out.absolute(), *out.absolute().parents) if os.path.lexists(place))
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return Finding(f"disk {folder}", "not writable", False, "choose another folder with --out")
    free = shutil.disk_usage(folder).free / 2**30
    advice = "" if free >= FREE_GIB else f"a build may need {FREE_GIB:g} GiB"
    return Finding(f"disk {folder}", f"{free:.1f} GiB free", free >= FREE_GIB, advice)


def _processor() -> Finding:
    flags = [flag for flag in INT8_FLAGS if flag in cpu_flags()]
    limit = os.environ.get(LIMIT)
    limited = f"; engines limited to {limit} by {LIMIT}" if limit else ""
    return Finding("processor", f"{cpu_name()}; {', '.join(flags) or 'no INT8 instructions'}{limited}", None)


def _exactness() -> Finding:
    """Say how onnxruntime runs quantised graphs exactly on this processor."""
    try:
        settings = ReferenceTarget().settings()
    except TargetUnavailable as error:
        return Finding("onnxruntime", "not exact", False, str(error))
    return Finding("onnxruntime", f"quantised graphs are exact with {settings.words}", True)
