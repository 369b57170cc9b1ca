"""What commands that build print, and what they end with."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.build.stage_run import StageRun
from pipeline.cli.console import say, say_json, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.report.model.build_report import Report


def show(report: "Report") -> None:
    """Show a report in the terminal."""
    from pipeline.report.terminal import render_terminal

    render_terminal(report, terminal())


def report_text(report: "Report", console: "Console") -> str:
    """Return the text of a report on a console."""
    from pipeline.report.terminal import render_terminal

    with console.capture() as text:
        render_terminal(report, console)
    return text.get()


def outcome_of(steps: Sequence[StageRun], report: "Report") -> dict[str, object]:
    """Return what --json prints of a build."""
    return outcome(steps, code_of(report), report.model_dump(mode="json"))


def outcome(steps: Sequence[StageRun], exit_code: int, report: object) -> dict[str, object]:
    """Return what --json prints of a build; report: what report.json holds."""
    return {"exit_code": exit_code, "steps": [asdict(step) for step in steps], "report": report}


def say_outcome(result: dict[str, object]) -> None:
    """Print it."""
    say_json(json.dumps(result))


def say_results(steps: Sequence[StageRun], bundle: Path) -> None:
    """Print which stages ran, and where the report and the bundle are."""
    say_steps(steps)
    say(f"report  {bundle.with_suffix('') / 'report.html'}")
    say(f"bundle  {bundle} ({bundle.stat().st_size / 2**20:.2f} MiB)")


def say_steps(steps: Sequence[StageRun]) -> None:
    """Print one line with the stages that ran, and the number that were up to date."""
    seconds: dict[str, float] = {}
    for step in steps:
        if not step.cached:
            seconds[step.stage] = seconds.get(step.stage, 0.0) + step.seconds
    ran = [f"{stage} {took:.1f} s" for stage, took in seconds.items()]
    known = sum(step.cached for step in steps)
    say("stages  " + (", ".join(ran) or "nothing to do") + (f" ({known} up to date)" if known else ""))


def code_of(report: "Report") -> int:
    """Return the exit code of build and validate. An inconclusive gate is reported and prevents no bundle."""
    from pipeline.report.model.certainty import Verdict

    return 0 if report.verdict is Verdict.INCONCLUSIVE else report.verdict.exit_code


def end_with(report: "Report") -> None:
    """End the program with the exit code of the report's verdict."""
    if code := code_of(report):
        raise typer.Exit(code)
