"""edgec diff: why two forms of one network differ."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.console import say, say_json, terminal, write_text
from pipeline.cli.verify import keys_to_trust
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.difference.picture_source import PictureSource
    from pipeline.report.model.difference_report import DifferenceReport


EMBEDDED_SIZE = (32, 32, 1)
"""Fashion-MNIST's images, with the border that ResNet-20 wants."""
SHOWN = 5
"""How many tensors of a list are printed; the page has all."""


def diff(
    a: Annotated[
        Path,
        typer.Argument(
            help="The reference: .onnx, .tflite, a checkpoint, .engine, .edgec, a build's folder, .npy."
        ),
    ],
    b: Annotated[Path, typer.Argument(help="The form to compare with it.")],
    data: options.Data = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(help="A picture to compare on, instead of --data; may be given several times."),
    ] = None,
    images: Annotated[int, typer.Option(min=2, help="Evaluation images to compare logits on.")] = 256,
    model: Annotated[str | None, typer.Option(help="Architecture of a checkpoint, if several fit.")] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Run engines on this device: ssh://user@host, or a name from `edgec devices`."),
    ] = None,
    every_tensor: Annotated[
        bool,
        typer.Option(
            "--every-tensor",
            help="Also compare the tensors inside the engine (a debug build) or inside LiteRT.",
        ),
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained HTML file.")] = None,
    as_json: options.Json = False,
) -> None:
    """Say why two forms of a network differ: the first difference, the kind of fault, and its remedy.

    Both get the same pixels. Exit code 0: the same, up to rounding; 1: different, or rounding changes
    classes; 4: not comparable.

    Example: edgec diff out/resnet20-fashion-host/model.onnx out/resnet20-fashion-host/model.engine
    """
    from pipeline.difference.judged import difference_of
    from pipeline.difference.opened_side import opened_side
    from pipeline.difference.picture_preparation import prepared
    from pipeline.difference.recorded_pairs import check_pairs
    from pipeline.difference.side import Side

    if data is not None and image:
        raise UsageError("--data and --image exclude each other: labelled images, or pictures.")
    trusted = keys_to_trust(None)
    with (
        opened_side(a, trusted, model, device) as given,
        opened_side(b, trusted, model, device) as other,
    ):
        recorded = given.recorded if isinstance(given, Side) else 0
        recorded = recorded or (other.recorded if isinstance(other, Side) else 0)
        source = _source(given.size or other.size, data, image or [], images, recorded)
        for side in (given, other):
            check_pairs(side, source)
        pictures = source.pictures(source.used)
        found = difference_of(*prepared(given, other, pictures), pictures, every_tensor, source)
    if html:
        from pipeline.report.pages.difference_page import difference_html

        write_text(html, difference_html(found), "--html")
    if as_json:
        say_json(found.to_json(), nl=False)
    else:
        _show(found)
    raise typer.Exit(found.verdict.exit_code)


def _source(
    size: tuple[int, int, int] | None, data: Path | None, image: list[Path], count: int, recorded: int
) -> "PictureSource":
    """Return the pictures given, or evaluation images of a data set, for a network's size.

    recorded: how many pictures one side has logits of. These are the first evaluation images, in their order.
    """
    from pipeline.data.open import open_dataset
    from pipeline.data.picture_files import picture_files
    from pipeline.difference.picture_source import PictureFiles, SplitPictures
    from targets.runtime.preprocess import Preprocessing

    if size is None:
        raise UsageError("Both sides are recorded logits. Give at least one network.")
    fitting = Preprocessing(*size)
    if image:
        return PictureFiles(fitting, tuple(picture_files(image)))
    split = open_dataset(data or _embedded(size)).split("evaluation")
    if recorded:
        return SplitPictures(fitting, split.subset(range(min(count, recorded, len(split)))))
    return SplitPictures(fitting, split.stratified(min(count, len(split)), seed=0))


def _embedded(size: tuple[int, int, int]) -> Path:
    """Return the images that come with the project, for a network of their size."""
    from pipeline.data.embedded import EMBEDDED

    if size != EMBEDDED_SIZE:
        raise UsageError(
            f"The networks take pictures of {'x'.join(map(str, size))} (height, width, channels). Give"
            " --data, a folder of images, or --image, one or several pictures."
        )
    return EMBEDDED


def _show(found: "DifferenceReport") -> None:
    say(found.summary)
    if found.changed_classes is not None:
        say(f"What to do: {found.changed_classes.remedy}")
    for note in found.notes:
        say(f"note    {note}")
    for equal in found.equal_faults():
        fault = equal.first
        say(f"\n{fault.kind}: {fault.place}")
        say(f"        {fault.evidence}")
        say(f"        {fault.agreement_words}")
        say(f"        {fault.remedy_words}")
        if equal.others:
            places = ", ".join(one.place for one in equal.others[:SHOWN])
            more = ", ..." if len(equal.others) > SHOWN else ""
            say(f"        {equal.elsewhere}: {places}{more}")
    if found.restored:
        _show_restored(found)


def _show_restored(found: "DifferenceReport") -> None:
    from pipeline.report.figures import interval
    from pipeline.report.table import FigureTable

    table = FigureTable("what matters most: B with A's values in", "logits", "same class", "gain, points")
    most = sorted(found.restored, key=lambda one: -one.logits_db)[:SHOWN]
    for one in most:
        table.add_row(one.tensor, f"{one.logits_db:.1f} dB", f"{one.same_class:.1%}", interval(one.gain))
    terminal().print(table)
