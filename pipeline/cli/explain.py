"""edgec explain: why one picture gets another class in INT8."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.console import make_progress, say, say_json, terminal, write_text
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset
    from pipeline.explanation.opened_build import OpenedBuild
    from pipeline.report.model.image_explanation import ImageExplanation

LATEST = Path("out/resnet20-fashion-host")
SHOWN = 5
"""How many layers are printed; the page has all."""


def explain(
    image: Annotated[
        Path, typer.Argument(help="A picture, or an evaluation image by the name that the report shows.")
    ],
    build: Annotated[Path, typer.Option(help="The folder of a build.")] = LATEST,
    data: options.Data = None,
    labels: options.Labels = None,
    images: Annotated[
        int, typer.Option(min=20, help="Labelled images of the two classes to compare with.")
    ] = 256,
    no_recipes: Annotated[
        bool, typer.Option("--no-recipes", help="Do not calibrate again with 16-bit activations.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained HTML file.")] = None,
    as_json: options.Json = False,
) -> None:
    """Say why INT8 gives a picture another class than FP32, or how close it is to doing so.

    Exit code 0: the same class; 1: another one.

    Example: edgec explain one.jpg --build out/resnet20-fashion-host --html why.html
    """
    from pipeline.explanation.asked_picture import asked_picture
    from pipeline.explanation.explained import Wanted
    from pipeline.explanation.explained import explain as explained
    from pipeline.explanation.opened_build import open_build

    if labels is not None and data is None:
        raise UsageError("--labels names a column of --data's labels.csv. Give --data, too.")
    opened = open_build(build)
    dataset = _dataset(opened, data, labels)
    asked = asked_picture(image, opened.preprocessing, dataset)
    found = explained(opened, asked, Wanted(dataset, images, not no_recipes), make_progress(as_json))
    if html:
        from pipeline.report.pages.explanation_page import explanation_html

        write_text(html, explanation_html(found), "--html")
    if as_json:
        say_json(found.to_json(), nl=False)
    else:
        _show(found)
    raise typer.Exit(found.cause.exit_code)


def _dataset(build: "OpenedBuild", data: Path | None, labels: str | None) -> "Dataset | None":
    """Return the images given, or those that come with the project if the build was made of them."""
    from pipeline.data.embedded import NAMED
    from pipeline.data.open import open_dataset

    if data is not None:
        return open_dataset(data, labels)
    named = NAMED.get(build.subject.dataset)
    return None if named is None else open_dataset(named)


def _show(found: "ImageExplanation") -> None:
    from pipeline.report.table import FigureTable

    say(found.summary)
    say(found.advice)
    if found.label is not None:
        say(f"label   {found.label}")
    for note in found.notes:
        say(f"note    {note}")
    sides = FigureTable(f"{found.first} over {found.second}", "margin", "says", found.first, found.second)
    for name, one in (("FP32", found.fp32), ("INT8", found.int8)):
        shares = (f"{100 * share:.1f} %" for share in (one.first_probability, one.second_probability))
        sides.add_row(name, f"{one.margin:+.3f}", one.answer, *shares)
    for tried in found.more_bits:
        sides.add_row(tried.change, f"{tried.margin:+.3f}", tried.answer)
    terminal().print(sides)
    _show_layers(found)
    for row in found.clipped[:SHOWN]:
        usual = f"usual are {100 * row.usual_share:.2f} %"
        say(f"outside its range: {100 * row.share:.2f} % of {row.tensor}; {usual}")
    if found.near:
        votes = f"{found.near_votes} of the {found.near_counted} nearest labelled images are {found.first}"
        near = FigureTable(votes, "class", "cosine")
        for image in found.near:
            near.add_row(image.name, image.label, f"{image.cosine:.4f}")
        terminal().print(near)


def _show_layers(found: "ImageExplanation") -> None:
    from pipeline.report.table import FigureTable

    table = FigureTable("INT8 with a layer in float", "margin", "with all before it")
    known = [one for one in found.layers if one.alone is not None]
    most = sorted(known, key=lambda one: -abs((one.alone or 0.0) - found.int8.margin))[:SHOWN]
    for one in most:
        up_to_here = "" if one.up_to_here is None else f"{one.up_to_here:+.3f}"
        table.add_row(one.layer, f"{one.alone:+.3f}", up_to_here)
    if most:
        terminal().print(table)
