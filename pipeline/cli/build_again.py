"""What `edgec build` prints of a build that was finished before, and of which nothing has changed."""

import logging
from collections.abc import Sequence

import typer

from pipeline.build.build_record import WARNINGS, BuildRecord, RecordedBuild
from pipeline.build.stage_run import StageRun
from pipeline.cli.build_outcome import outcome, report_text, say_outcome, say_results
from pipeline.cli.console import kind_of, make_progress, say_text, terminal


def say_again(record: BuildRecord, done: RecordedBuild, steps: Sequence[StageRun], as_json: bool) -> None:
    """Print what the whole plan would, and end with its exit code."""
    for line in done.warned:
        logging.getLogger(WARNINGS).warning("%s", line)
    if done.said:
        progress = make_progress(as_json)
        for line in done.said:
            progress.say(line)
    if as_json:
        report = done.content_of_report()
        say_outcome({"bundle": done.bundle, **outcome(steps, done.exit_code, report)})
    else:
        _show(record, done)
        say_results(steps, done.bundle_file)
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def _show(record: BuildRecord, done: RecordedBuild) -> None:
    """Show the report, whose text is kept for each kind of terminal that it was shown on."""
    console = terminal()
    kind = kind_of(console)
    text = done.shown.get(kind)
    if text is None:
        from pipeline.report.model.build_report import Report

        text = report_text(Report.load(done.report), console)
        record.keep_text(done, kind, text)
    say_text(text, console)
