"""edgec targets, models and recipes: list them."""

import json

from pipeline.cli import options
from pipeline.cli.console import print_table, say, say_json


def targets(as_json: options.Json = False) -> None:
    """List the targets, what each runs, and whether it can be used on this machine.

    Example: edgec targets --json
    """
    from targets.errors import TargetUnavailable
    from targets.registry import find_target, names

    rows: list[tuple[str, str, str, str | None]] = []
    for name in names():
        target = find_target(name)
        try:
            target.check()
            problem = None
        except TargetUnavailable as error:
            problem = str(error)
        rows.append((name, target.summary, target.recipe.name, problem))
    if as_json:
        keys = "name", "summary", "recipe", "problem"
        say_json(json.dumps([dict(zip(keys, row, strict=True)) for row in rows]))
        return
    cells = [(*words, problem or "ready") for *words, problem in rows]
    print_table(("target", "what it is", "recipe", "here"), cells)


def settings() -> None:
    """Print all keys of a settings file with their defaults, as Markdown.

    Example: edgec settings
    """
    from pipeline.settings_page import settings_page

    say(settings_page(), nl=False)


def models(as_json: options.Json = False) -> None:
    """List the models that edgec knows by name.

    Example: edgec models
    """
    from pipeline.models.zoo import KNOWN_MODELS

    if as_json:
        rows = [
            {"name": m.name, "summary": m.summary, "input": m.input_shape, "classes": m.classes}
            for m in KNOWN_MODELS
        ]
        say_json(json.dumps(rows))
        return
    cells = [
        (
            model.name,
            model.summary,
            " x ".join(map(str, model.input_shape)),
            "as the data set" if model.classes is None else str(model.classes),
        )
        for model in KNOWN_MODELS
    ]
    print_table(("model", "what it is", "input", "classes"), cells)


def recipes(as_json: options.Json = False) -> None:
    """List the words that a quantisation recipe is made of: a scheme, then ranges, then corrections.

    Example: edgec recipes
    """
    from calibration.corrections import CORRECTIONS
    from calibration.scheme import ObserverName, Scheme

    rows = [
        *(("scheme", str(one), one.summary, "", "") for one in Scheme),
        *(("range", str(one), one.summary, "", "") for one in ObserverName),
        *(
            ("correction", one.word, one.summary, one.runs, ", ".join(sorted(one.needs)))
            for one in CORRECTIONS
        ),
    ]
    if as_json:
        names = "kind", "word", "summary", "runs", "needs"
        say_json(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
        return
    print_table(("", "word", "what it does", "runs", "needs"), rows)
    say("A recipe joins one of each with _, and any corrections: w8a8_asym_mse_eq_wmse_obq_bc")
