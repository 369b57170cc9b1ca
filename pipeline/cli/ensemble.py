"""edgec ensemble: validates several models with averaged logits."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.console import make_progress, say


def ensemble(
    members: Annotated[
        list[Path], typer.Argument(help="TOML files, one per member, as for edgec build --config.")
    ],
    target: options.Target = None,
    data: options.Data = None,
    out: options.Out = None,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained page.")] = None,
    as_json: options.Json = False,
) -> None:
    """Validate several models together: accuracy of their averaged logits, and their cost.

    Members are built if needed. Ensembles are the first two, three, ... members in the given order.
    Exit code 5 if one of them only guesses in float.

    Example: edgec ensemble resnet20.toml resnet56.toml --data cifar-10-batches-py --html ensemble.html
    """
    from pipeline.build.averaged import validate_together
    from pipeline.build.plan import Build
    from pipeline.cache.store import writing
    from pipeline.config import BuildConfig, load_config
    from pipeline.report.model.certainty import Verdict
    from pipeline.report.pages.ensemble_page import html as page
    from pipeline.report.pages.ensemble_page import markdown

    progress = make_progress(as_json)
    given = {"target": target, "data": data, "out": out}
    builds = [Build(load_config(BuildConfig, member, given), progress) for member in members]
    found = validate_together(builds, progress, [member.stem for member in members])
    if html:
        with writing(html.parent, "--html"):
            html.write_text(page(found), encoding="utf-8")
    say(found.model_dump_json() if as_json else markdown(found))
    if found.guessing:
        raise typer.Exit(Verdict.MEANINGLESS.exit_code)
