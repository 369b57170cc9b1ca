"""The program `edgec`: its commands, and how errors reach the user."""

import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
import typer.core
import typer.main

from calibration.errors import CalibrationError, RecipeError
from pipeline.cli import (
    baseline,
    build,
    cache,
    calibrate,
    demo,
    devices,
    diff,
    doctor,
    ensemble,
    explain,
    light_help,
    matrix,
    package,
    report,
    show,
    train,
    tune,
    unit,
    validate,
    verify,
)
from pipeline.cli.console import say
from pipeline.errors import PipelineError
from pipeline.extras import naming_missing_extras
from targets.errors import TargetError, UnknownTarget
from targets.runtime.printable import printable

MOST_CHARACTERS = 20_000
"""Of a message: a file may have megabytes where a name is expected."""

app = typer.Typer(
    name="edgec",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a bug keeps its plain traceback
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)
app.command("build")(build.build)
app.command("train")(train.train)
app.command("calibrate")(calibrate.calibrate)
app.command("export")(build.export)
app.command("validate")(validate.validate)
app.command("merge")(validate.merge)
app.command("diff")(diff.diff)
app.command("explain")(explain.explain)
app.command("tune")(tune.tune)
app.command("ensemble")(ensemble.ensemble)
app.command("matrix")(matrix.matrix)
app.command("package")(package.package)
app.command("verify")(verify.verify)
app.command("keygen")(verify.keygen)
app.command("sign")(verify.sign)
app.command("rekey")(verify.rekey)
app.command("model-card")(report.model_card)
app.command("targets")(show.targets)
app.command("models")(show.models)
app.command("recipes")(show.recipes)
app.command("settings")(show.settings)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.command("deploy")(devices.deploy)
app.command("installer")(devices.installer)
app.add_typer(unit.app, name="unit")
app.add_typer(cache.app, name="cache")
app.add_typer(report.app, name="report")
app.add_typer(baseline.app, name="baseline")
app.add_typer(devices.app, name="devices")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version
        from platform import machine, python_version

        say(f"edgec {version('edgec')}, Python {python_version()}, {machine()}")
        raise typer.Exit


@app.callback()
def edgec(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version, and Python's."
        ),
    ] = False,
) -> None:
    """Compile an image network into INT8 for an edge device, and prove what was shipped."""


def program() -> typer.core.TyperGroup:
    """Return all commands, as typer runs them."""
    return typer.main.get_group(app)


def main() -> None:
    """Run the program. Errors that the user can fix are one paragraph on stderr, without a traceback."""
    _open_closed_streams()
    _buffer_stdout()
    signal.signal(signal.SIGTERM, _end)
    sys.exit(run())


def _open_closed_streams() -> None:
    """Open the null device for stdin, stdout or stderr if the program was started without it.

    Otherwise the next file that is opened becomes stdout, and what is printed is written into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, os.fdopen(number, mode))


def _buffer_stdout() -> None:
    """Buffer stdout by lines where Python was told to buffer nothing (PYTHONUNBUFFERED, usual in containers).

    Without a buffer Python ignores that only a part of a text was written, so a file that a limit or a full
    disk cuts off would be taken for whole.
    """
    raw = getattr(sys.stdout, "buffer", None)
    if isinstance(raw, io.RawIOBase):
        whole = io.BufferedWriter(raw)
        sys.stdout = io.TextIOWrapper(whole, sys.stdout.encoding, sys.stdout.errors, line_buffering=True)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default this program's own, and return its exit code.

    Errors that the user can fix are printed on stderr. Anything else is a bug and is raised.
    """
    try:
        try:
            light_help.load_for(sys.argv[1:] if arguments is None else arguments)
            with naming_missing_extras():
                code = app(arguments, prog_name="edgec", standalone_mode=False)
        finally:
            sys.stdout.flush()  # a full disk is noticed here, where an error can still be reported
    except typer.TyperException as error:
        return _fail(_refusal(error), error.exit_code)
    except typer.Abort:  # a prompt got the end of the input for an answer
        return _fail("Aborted.", 1)
    except (PipelineError, TargetError, CalibrationError) as error:
        return _fail(str(error), _code(error))
    except OSError as error:
        return _fail(*_refused_by_the_system(error))
    return code if isinstance(code, int) else 0


def _refusal(error: typer.TyperException) -> str:
    """Return the message for a wrong command line, with the help to read."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is None or not message:
        return message
    if near := getattr(error, "possibilities", None):
        message = f"{error.message}. Did you mean {' or '.join(near)}?"
    stop = "" if message.endswith((".", "?")) else "."
    return f"{message}{stop} `{context.command_path} --help` says what there is."


def _code(error: PipelineError | TargetError | CalibrationError) -> int:
    if isinstance(error, PipelineError):
        return error.exit_code
    return 2 if isinstance(error, (UnknownTarget, RecipeError)) else 1


def _refused_by_the_system(error: OSError) -> tuple[str, int]:
    """Report a name that is too long, or output without space on the disk. Raises any other error."""
    if error.errno == errno.ENAMETOOLONG:
        return f"{Path(error.filename).name[:40]}...: {error.strerror}. Give a shorter name.", 2
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or error.filename:
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the rest of the output is lost
    return f"The output cannot be written: {error.strerror}.", 1


def _end(number: int, _: FrameType | None) -> None:
    """End as Ctrl-C does: child processes and temporary folders end too."""
    sys.exit(128 + number)


def _fail(message: str, code: int) -> int:
    if message:  # a group of commands without a command prints its help
        rest = len(message) - MOST_CHARACTERS
        end = f" ... and {rest:,} more characters" if rest > 0 else ""
        sys.stderr.write(f"edgec: {printable(message[:MOST_CHARACTERS])}{end}\n")
    return code
