"""edgec baseline save and compare: compares a build with the one whose figures were committed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.build_options import with_build_options
from pipeline.cli.console import make_progress, say, say_json, terminal, write_text
from pipeline.cli.verify import Keys, keys_to_trust
from pipeline.report.regression_limits import Limits

if TYPE_CHECKING:
    from pipeline.config import BuildConfig

app = typer.Typer(
    no_args_is_help=True, help="Save a build's accuracy and latency, and compare later builds with them."
)

Folder = Annotated[Path, typer.Option(help="Where baselines are kept, one small JSON file each.")]
BASELINES = Path("baselines")


@app.command()
@with_build_options()
def save(
    chosen: "BuildConfig",
    folder: Folder = BASELINES,
) -> None:
    """Build if needed, and write the baseline of this model, target and device.

    Example: edgec baseline save --model resnet20-fashion --target reference
    """
    from pipeline.build.plan import Build
    from pipeline.build.regression import save_baseline
    from pipeline.cache.store import writing

    with writing(folder, "--folder"):
        say(save_baseline(Build(chosen, make_progress(as_json=False)), folder))


@app.command()
@with_build_options()
def compare(
    chosen: "BuildConfig",
    folder: Folder = BASELINES,
    old: Annotated[
        Path | None,
        typer.Option(help="The earlier bundle: its engine and the new one are timed in alternation."),
    ] = None,
    key: Keys = None,
    max_drop: Annotated[
        float, typer.Option(min=0, help="Largest loss of INT8's top-1, in points.")
    ] = Limits.max_drop,
    max_latency: Annotated[
        float, typer.Option(min=0, help="Largest new latency, relative to the old one.")
    ] = Limits.max_latency_ratio,
    junit: options.Junit = None,
    markdown: options.Markdown = None,
    as_json: options.Json = False,
) -> None:
    """Compare a build with its baseline. Exit code 0: pass, 1: fail, 3: inconclusive, 4: no baseline.

    Example: edgec baseline compare --old release.edgec --junit gates.xml
    """
    from pipeline.build.plan import Build
    from pipeline.build.regression import compare_with_baseline

    build = Build(chosen, make_progress(as_json))
    limits = Limits(max_drop=max_drop, max_latency_ratio=max_latency)
    comparison = compare_with_baseline(build, folder, limits, old, keys_to_trust(key))
    if junit:
        from pipeline.report.junit import junit_xml

        write_text(junit, junit_xml(build.name, comparison.gates), "--junit")
    if markdown:
        from pipeline.report.markdown import comparison_summary

        write_text(markdown, comparison_summary(comparison), "--markdown")
    if as_json:
        record = comparison.model_dump(mode="json")
        say_json(json.dumps({"exit_code": comparison.exit_code, **record}, indent=1, ensure_ascii=False))
    else:
        from pipeline.report.terminal import render_comparison

        render_comparison(comparison, terminal())
    raise typer.Exit(comparison.exit_code)
