"""edgec report show and compare: reports of builds, from files or bundles."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.console import say, say_json, terminal, write_text
from pipeline.cli.verify import keys_to_trust

if TYPE_CHECKING:
    from pipeline.report.model.build_report import Report

app = typer.Typer(no_args_is_help=True, help="Show the report of a build, or several builds side by side.")

LATEST = Path("out/resnet20-fashion-host")
Html = Annotated[Path | None, typer.Option(help="Write one self-contained HTML file.")]


@app.command()
def show(
    path: Annotated[Path, typer.Argument(help="report.json, the folder it is in, or a bundle.")] = LATEST,
    html: Html = None,
    junit: options.Junit = None,
    markdown: options.Markdown = None,
    as_json: options.Json = False,
) -> None:
    """Show a report. The one in a bundle has no latency; the report in the build's folder has.

    Example: edgec report show out/resnet20-fashion-reference --html report.html
    """
    found = _load(path)
    if html:
        from pipeline.report.pages.report_page import render_html

        write_text(html, render_html(found), "--html")
    if junit:
        from pipeline.report.junit import junit_xml

        write_text(junit, junit_xml(f"{found.subject.model}-{found.subject.target}", found.gates), "--junit")
    if markdown:
        from pipeline.report.markdown import report_summary

        write_text(markdown, report_summary(found), "--markdown")
    if as_json:
        say_json(found.to_json(), nl=False)
    else:
        from pipeline.report.terminal import render_terminal

        render_terminal(found, terminal())


@app.command()
def compare(
    paths: Annotated[list[Path], typer.Argument(help="Two to eight of: report.json, its folder, a bundle.")],
    html: Html = None,
    as_json: options.Json = False,
) -> None:
    """Show builds side by side: several models, several targets, or one target at different times.

    Example: edgec report compare out/resnet20-fashion-host out/resnet20-fashion-rpi5 --html both.html
    """
    from pipeline.report.side_by_side import render_side_by_side, side_by_side, side_by_side_html

    found = [_load(path) for path in paths]
    side_by_side(found)  # a wrong number of reports is refused before anything is written
    if html:
        write_text(html, side_by_side_html(found), "--html")
    if as_json:
        say_json(json.dumps([report.model_dump(mode="json") for report in found]))
    else:
        render_side_by_side(found, terminal())


def model_card(
    path: Annotated[Path, typer.Argument(help="report.json, its folder, or a bundle.")],
    html: Html = None,
    markdown: options.Markdown = None,
) -> None:
    """Write a model card from a report: as a page, as Markdown, or Markdown on the terminal.

    Example: edgec model-card out/resnet20-fashion-host.edgec --html card.html
    """
    from pipeline.report.model_card import card_html, card_markdown

    found = _load(path)
    if html:
        write_text(html, card_html(found), "--html")
    if markdown:
        write_text(markdown, card_markdown(found), "--markdown")
    if not html and not markdown:
        say(card_markdown(found), nl=False)


def _load(path: Path) -> "Report":
    from pipeline.report.model.build_report import Report

    if path.suffix == ".edgec" and not path.is_dir():
        from pipeline.bundle.contents import opened

        with opened(path, keys_to_trust(None)) as held:
            return Report.parse(held.read("report.json"), f"{path}: report.json")
    return Report.load(path / "report.json" if path.is_dir() else path)
