"""edgec unit: repeats a unit of work that another machine did."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, assert_never

import typer

from pipeline.cli.console import make_progress, say
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.build.requested_unit import Requested
    from pipeline.cache.stage import Stage
    from pipeline.progress import Progress

app = typer.Typer(no_args_is_help=True, help="Repeat a unit of work of a build or a tuning.")


@app.callback()
def unit() -> None:
    """Repeat a unit of work of a build or a tuning."""


def _shared_out(requested: "Requested", out: Path, progress: "Progress") -> "Iterator[Stage]":
    """Yield the units of a build or a tuning in their order, so that a search may end early."""
    from pipeline.build.counted_tuning import tuning_units
    from pipeline.build.plan import Build
    from pipeline.build.requested_unit import TuningRequest
    from pipeline.config import BuildConfig

    match requested:
        case BuildConfig():
            build = Build(requested.model_copy(update={"out": out}), progress)
            yield from build.calibration_parts
            yield from build.all_units
            yield build.measurement
        case TuningRequest():
            yield from tuning_units(requested)
        case unknown:
            assert_never(unknown)


@app.command("run")
def run_unit(
    digest: Annotated[str, typer.Argument(help="The digest of the unit, or its first letters.")],
    out: Annotated[Path, typer.Option(help="The --out of the build.")] = Path("out"),
) -> None:
    """Repeat a unit in this process, and compare its result with the one in the store.

    Exit code 1 if it fails, or if other bytes come out. A measurement is repeated, but not compared.

    Example: edgec unit run 3f2a91c04d11 --out /mnt/shared/out
    """
    from pipeline.build.requested_unit import read_request
    from pipeline.cache.digest import folder_digests
    from pipeline.cache.product import KEY_LETTERS, Damaged, read_product

    root = out / "store"
    whole, requested = read_request(root, digest)
    progress = make_progress(False)
    stage = next((one for one in _shared_out(requested, out, progress) if one.key() == whole), None)
    if stage is None:
        raise UsageError(
            f"{digest} has other versions of edgec, its tools, or inputs than those here: only its own"
            " versions and files repeat it."
        )
    with TemporaryDirectory(prefix="edgec-unit-") as folder:
        stage.run(Path(folder), progress)
        found = folder_digests(Path(folder))
    if stage.is_measurement:
        say(f"{stage.name}: done; no two measurements are alike")
        return
    try:
        kept = read_product(stage.name, whole, root / "products" / stage.name / whole[:KEY_LETTERS])
    except Damaged as damage:
        say(f"the store's entry is damaged: {damage}")
        kept = None
    if kept is None:
        say(f"{stage.name}: done; the store has no result to compare it with")
        return
    changed = sorted(name for name in {**found, **kept.digests} if found.get(name) != kept.digests.get(name))
    say(f"{stage.name}: {'other bytes in ' + ', '.join(changed) if changed else 'the same bytes'}")
    if changed:
        raise typer.Exit(1)
