"""What commands that build print, and what they end with."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from pipeline.cli.console import say, say_json, terminal

if TYPE_CHECKING:
    from pipeline.build.plan import Build
    from pipeline.report.model.build_report import Report


def show(report: "Report") -> None:
    """Show a report in the terminal."""
    from pipeline.report.terminal import render_terminal

    render_terminal(report, terminal())


def outcome_of(one: "Build", report: "Report") -> dict[str, object]:
    """Return what --json prints of a build."""
    steps = [asdict(step) for step in one.steps]
    return {"exit_code": _code(report), "steps": steps, "report": report.model_dump(mode="json")}


def say_outcome(result: dict[str, object]) -> None:
    """Print it."""
    say_json(json.dumps(result))


def say_steps(one: "Build") -> None:
    """Print one line with the stages that ran, and the number that were up to date."""
    seconds: dict[str, float] = {}
    for step in one.steps:
        if not step.cached:
            seconds[step.stage] = seconds.get(step.stage, 0.0) + step.seconds
    ran = [f"{stage} {took:.1f} s" for stage, took in seconds.items()]
    known = sum(step.cached for step in one.steps)
    say("stages  " + (", ".join(ran) or "nothing to do") + (f" ({known} up to date)" if known else ""))


def _code(report: "Report") -> int:
    """Return the exit code of build and validate. An inconclusive gate is reported and prevents no bundle."""
    from pipeline.report.model.certainty import Verdict

    return 0 if report.verdict is Verdict.INCONCLUSIVE else report.verdict.exit_code


def end_with(report: "Report") -> None:
    """End the program with the exit code of the report's verdict."""
    if code := _code(report):
        raise typer.Exit(code)
