"""edgec calibrate: ranges and the quantised model alone, or a study of how many images they need."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.build_options import with_build_options
from pipeline.cli.console import make_progress, say, say_json, terminal
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.build.plan import Build
    from pipeline.config import BuildConfig
    from pipeline.stages.artifacts import Artifact


@with_build_options(without=("quantized", "peer"))
def calibrate(
    chosen: "BuildConfig",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write to. Default: calibrated/<model>.")
    ] = None,
    study: Annotated[
        bool,
        typer.Option(
            "--study", help="Calibrate with different numbers of images, and report how many are enough."
        ),
    ] = False,
    draws: Annotated[
        int, typer.Option(min=2, max=100, help="With --study: random draws of each number.")
    ] = 5,
    as_json: options.Json = False,
) -> None:
    """Find ranges and quantise, without compiling: ranges.json, model.int8.onnx, a TensorRT cache.

    With --study: study.json and study.html, SQNR and agreement against the number of images, which goes up to
    calibration.images. The study never looks at evaluation images.

    Example: edgec calibrate --model resnet18 --checkpoint resnet18.pth --data photos --recipe w8a8_sym_mse
    Example: edgec calibrate --study --model resnet20-fashion
    """
    if chosen.calibration.quantized is not None:
        raise UsageError("calibration.quantized is already quantised. Leave it out to calibrate.")
    from pipeline.build.plan import Build

    one = Build(chosen, make_progress(as_json))
    one.require_float("calibrate")
    folder = output or Path("calibrated") / one.model.name
    (_study if study else _calibrate)(one, folder, draws, as_json)


def _calibrate(one: "Build", folder: Path, _: int, as_json: bool) -> None:
    from calibration.recipe import Scheme
    from calibration.tensorrt_cache import save_calibration_cache
    from pipeline.build.publish import place
    from pipeline.cache.store import writing

    artifacts: tuple[Artifact, ...] = (one.prepared_model, one.ranges, one.int8_model)
    written = [artifact.file_name for artifact in artifacts]
    with writing(folder, "--output"):
        folder.mkdir(parents=True, exist_ok=True)
        for artifact in artifacts:
            place(artifact, artifact.file_name, folder / artifact.file_name)
        if one.recipe.scheme is Scheme.SYM:
            save_calibration_cache(one.ranges.load(), folder / "calibration.cache")
            written.append("calibration.cache")
    written.sort()
    if as_json:
        say_json(json.dumps({"folder": str(folder), "recipe": one.recipe.name, "files": written}))
        return
    say(f"{one.recipe.name}, {len(one.calibration)} images: {', '.join(written)} in {folder}")


def _study(one: "Build", folder: Path, draws: int, as_json: bool) -> None:
    from pipeline.cache.store import writing
    from pipeline.report.pages.study_page import conclusion, study_html

    found = one.study(draws).load()
    with writing(folder, "--output"):
        folder.mkdir(parents=True, exist_ok=True)
        found.save(folder / "study.json")
        (folder / "study.html").write_text(study_html(found), encoding="utf-8")
    if as_json:
        say_json(found.to_json())
        return

    from pipeline.report.table import FigureTable

    table = FigureTable("Images", "SQNR, mean", "lowest", "highest", "same top-1, mean")
    for count in found.counts:
        sqnr = [draw.sqnr_db for draw in count.draws]
        cells = (count.mean_sqnr_db, min(sqnr), max(sqnr))
        table.add_row(str(count.images), *(f"{one:.2f} dB" for one in cells), f"{count.mean_agreement:.2%}")
    terminal().print(table)
    say(conclusion(found))
    say(f"study    {folder / 'study.html'}")
