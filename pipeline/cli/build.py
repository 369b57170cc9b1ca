"""edgec build and export: the same build, run to its end or to one of its products."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.build_options import with_build_options
from pipeline.cli.build_outcome import (
    code_of,
    end_with,
    outcome_of,
    report_text,
    say_outcome,
    say_results,
    show,
)
from pipeline.cli.console import kind_of, make_progress, say, say_json, say_text, terminal
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.build.given_settings import GivenSettings
    from pipeline.config import BuildConfig


@with_build_options(unchecked=True)
def build(
    given: "GivenSettings",
    on: options.On = None,
    as_json: options.Json = False,
) -> None:
    """Build, validate and bundle a model for a target. Exit code 1 if a gate fails, 5 if FP32 only guesses.

    Example: edgec build --model resnet20-cifar10 --data cifar-10-batches-py
    """
    from pipeline.build.build_record import BuildRecord

    record = BuildRecord(given)
    if on is None and (known := record.unchanged()) is not None:
        from pipeline.cli.build_again import say_again

        say_again(record, *known, as_json)
        return
    chosen = record.load()
    from pipeline.build.board_pool import on_boards_alike
    from pipeline.build.fleet import devices_of
    from pipeline.build.plan import Build
    from pipeline.build.publish import publish, published_files
    from pipeline.config import understood_anywhere
    from pipeline.units.open_workers import open_workers

    if len(devices := devices_of(chosen)) > 1:
        if on is not None:
            raise UsageError(
                "--on cannot be combined with several devices, which run in processes of this machine. Give"
                " the devices to a matrix, whose rows the workers build: edgec matrix."
            )
        _build_on_all(chosen, devices, as_json)
        return
    progress = make_progress(as_json)
    with open_workers(on) as workers, record.watching():

        def published(config: "BuildConfig") -> tuple[Build, Path]:
            built = Build(config, progress, workers)
            return built, publish(built)

        wanted = chosen if on is None else understood_anywhere(chosen)
        one, bundle = on_boards_alike(wanted, published, progress)
        report = one.report.load()
    shown: dict[str, str] = {}
    if as_json:
        say_outcome({"bundle": str(bundle), **outcome_of(one.steps, report)})
    else:
        console = terminal()
        shown[kind_of(console)] = text = report_text(report, console)
        say_text(text, console)
        say_results(one.steps, bundle)
    if on is None:
        record.save(one, bundle, published_files(one, one.name), code_of(report), shown)
    end_with(report)


def _build_on_all(chosen: "BuildConfig", devices: list[str], as_json: bool) -> None:
    """Build for several devices at once, and show the result of each."""
    from pipeline.build.fleet import build_on_all, exit_code
    from pipeline.report.model.build_report import Report

    outcomes = build_on_all(chosen, devices, make_progress(as_json))
    if as_json:
        say_json(json.dumps([asdict(outcome) for outcome in outcomes], default=str))
    for outcome in outcomes if not as_json else ():
        if outcome.report is None:
            say(f"{outcome.device}: {outcome.error}", err=True)
            continue
        show(Report.load(outcome.report))
        say(f"{outcome.device}: report  {outcome.report.with_suffix('.html')}")
    if code := max(exit_code(outcome) for outcome in outcomes):
        raise typer.Exit(code)


@with_build_options(without=("target", "recipe", "quantized", "peer"))
def export(
    chosen: "BuildConfig",
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    as_json: options.Json = False,
) -> None:
    """Write the float model as ONNX: pixels in, logits out, checked against torch on real images.

    Example: edgec export --model resnet50 --checkpoint resnet50.pth --data photos/ -o resnet50.onnx
    """
    if not output.name:
        raise UsageError("--output names no file. Give one, such as model.onnx.")
    from pipeline.build.plan import Build
    from pipeline.build.publish import place
    from pipeline.cache.store import writing

    one = Build(chosen, make_progress(as_json))
    one.require_float("write")
    model = one.float_model
    found = model.parity
    with writing(output.parent, "--output"):
        place(model, model.file_name, output)
    if as_json:
        say_outcome({"model": str(output), "sha256": model.file_digest, **asdict(found)})
    else:
        say(
            f"{output} ({output.stat().st_size / 2**20:.2f} MiB), largest difference from the original "
            f"{found.max_difference:.1e} on {found.images} images"
        )
