"""The program `edgec`: its commands, and how errors reach the user."""

import errno
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer

from calibration.errors import CalibrationError
from pipeline.cli import (
    baseline,
    build,
    cache,
    calibrate,
    demo,
    devices,
    doctor,
    ensemble,
    report,
    show,
    train,
    tune,
    verify,
)
from pipeline.errors import PipelineError
from targets.errors import TargetError, UnknownTarget

app = typer.Typer(
    name="edgec",
    help="Compile a ResNet into INT8 for an edge device, and prove what was shipped.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a bug keeps its plain traceback
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)
app.command("build")(build.build)
app.command("train")(train.train)
app.command("calibrate")(calibrate.calibrate)
app.command("export")(build.export)
app.command("validate")(build.validate)
app.command("tune")(tune.tune)
app.command("ensemble")(ensemble.ensemble)
app.command("verify")(verify.verify)
app.command("keygen")(verify.keygen)
app.command("sign")(verify.sign)
app.command("targets")(show.targets)
app.command("models")(show.models)
app.command("recipes")(show.recipes)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.command("deploy")(devices.deploy)
app.command("installer")(devices.installer)
app.add_typer(cache.app, name="cache")
app.add_typer(report.app, name="report")
app.add_typer(baseline.app, name="baseline")
app.add_typer(devices.app, name="devices")


def main() -> None:
    """Run the program. Errors the user can put right are one paragraph on stderr, without a traceback."""
    signal.signal(signal.SIGTERM, _end)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # a full disk is noticed here, not when the interpreter has no words left
    except PipelineError as error:
        _fail(error, error.exit_code)
    except UnknownTarget as error:
        _fail(error, 2)
    except (TargetError, CalibrationError) as error:
        _fail(error, 1)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            _fail(f"{Path(error.filename).name[:40]}...: {error.strerror}. Give a shorter one.", 2)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or error.filename:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to write is lost
        _fail(f"What it prints cannot be written: {error.strerror}.", 1)


def _end(number: int, _: FrameType | None) -> None:
    """End as Ctrl-C does: child processes and temporary folders end too."""
    sys.exit(128 + number)


def _fail(error: Exception | str, code: int) -> NoReturn:
    sys.stderr.write(f"edgec: {error}\n")
    sys.exit(code)
