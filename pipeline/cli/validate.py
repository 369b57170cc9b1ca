"""edgec validate and merge: a build without its bundle, whole or shared out among machines."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.build_options import with_build_options
from pipeline.cli.build_outcome import end_with, outcome_of, say_outcome, say_steps, show
from pipeline.cli.console import make_progress, say
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.build.plan import Build
    from pipeline.build.shard import Shard
    from pipeline.config import BuildConfig


@with_build_options()
def validate(
    chosen: "BuildConfig",
    shard: Annotated[
        str | None, typer.Option(help="Validate only one shard of the images, such as 3/8; needs --part.")
    ] = None,
    part: Annotated[
        Path | None,
        typer.Option("--part", "-o", help="The folder to write the shard to, for `edgec merge`."),
    ] = None,
    on: options.On = None,
    as_json: options.Json = False,
) -> None:
    """Validate a model on a target without bundling it. Exit code 1 if a gate fails, 5 if FP32 only guesses.

    Example: edgec validate --model resnet18 --checkpoint resnet18.pth --data photos/
    """
    from pipeline.build.plan import Build
    from pipeline.config import understood_anywhere
    from pipeline.units.open_workers import open_workers

    if (shard is None) != (part is None):
        raise UsageError("--shard and --part need each other: which shard, and the folder to write it to.")
    if shard is None or part is None:
        with open_workers(on) as workers:
            anywhere = chosen if on is None else understood_anywhere(chosen)
            _report(Build(anywhere, make_progress(as_json), workers), as_json)
        return
    if on is not None:
        raise UsageError("--on and --shard exclude each other: this process computes a shard alone.")
    from pipeline.build.shard import Shard

    wanted = Shard.parse(shard)
    _write_share(Build(chosen, make_progress(as_json)), wanted, part, as_json)


@with_build_options()
def merge(
    chosen: "BuildConfig",
    parts: Annotated[list[Path], typer.Argument(help="The folders that `edgec validate --shard` wrote.")],
    report: Annotated[
        Path | None, typer.Option("--report", "-o", help="A folder to copy report.json and report.html to.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Merge the shards of a validation. The report is the same as that of a single machine.

    Takes the same options as `edgec validate`, and has the same exit codes.

    Example: edgec merge part1 part2 part3 --model resnet18.onnx --data photos/
    """
    from pipeline.build.parts import read_parts, refuse_foreign, take_in
    from pipeline.build.plan import Build

    found = read_parts(parts)
    one = Build(chosen, make_progress(as_json))
    take_in(found, one.store, one.progress)
    refuse_foreign(found, [unit.key() for unit in one.all_units])
    if report is not None:
        _copy_report(one, report)
    _report(one, as_json)


def _copy_report(one: "Build", folder: Path) -> None:
    from pipeline.build.publish import place
    from pipeline.cache.store import writing

    with writing(folder, "--report"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in one.report.names:
            place(one.report, name, folder / name)


def _report(one: "Build", as_json: bool) -> None:
    report = one.report.load()
    if as_json:
        say_outcome(outcome_of(one.steps, report))
    else:
        show(report)
        say_steps(one.steps)
    end_with(report)


def _write_share(one: "Build", wanted: "Shard", part: Path, as_json: bool) -> None:
    """Validate a share of the units, and write it with everything that it is made from."""
    from pipeline.build.parts import refuse_taken, write_part
    from pipeline.stages.answer import UNIT_IMAGES

    refuse_taken(part)
    count = len(one.all_units)
    if wanted.of > count:
        raise UsageError(
            f"--shard {wanted}: the validation has {count} unit{'s' * (count > 1)} of up to"
            f" {UNIT_IMAGES} images, so that at most {count} machines can share it."
        )
    units = one.compute(wanted)
    write_part(part, one.name, wanted, [unit.key() for unit in units], one.used)
    if as_json:
        say_outcome({"part": str(part), "shard": str(wanted), "units": len(units)})
        return
    say_steps(one.steps)
    say(
        f"part    {part}: {len(units)} of {count} units, shard {wanted}. Merge all shards with `edgec merge`."
    )
