"""The options that say what to build, the same for every command that builds."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from pipeline.cli import options

P = ParamSpec("P")
S = TypeVar("S")
"""The settings, checked or not."""

OPTIONS = {
    "model": options.Model,
    "target": options.Target,
    "data": options.Data,
    "labels": options.Labels,
    "checkpoint": options.Checkpoint,
    "weights": options.Weights,
    "config": options.Config,
    "device": options.Device,
    "out": options.Out,
    "recipe": options.Recipe,
    "quantized": options.Quantized,
    "peer": options.Peer,
}
"""By parameter name, in the order of --help."""
KEYS = {"recipe": "calibration.recipe", "quantized": "calibration.quantized", "peer": "latency.peer"}
"""The configuration keys of options that are not top-level keys of the same name."""


def with_build_options(
    *, without: tuple[str, ...] = (), unchecked: bool = False
) -> Callable[[Callable[Concatenate[S, P], None]], Callable[..., None]]:
    """Add the options of a build to a command, except for those in `without`.

    The command gets the configuration, made of these options and the file given by --config, as its first
    argument; `unchecked`: the GivenSettings. Raises UsageError when it is run with values that are not
    allowed.
    """
    names = [name for name in OPTIONS if name not in without]

    def decorate(command: Callable[Concatenate[S, P], None]) -> Callable[..., None]:
        @wraps(command)
        def run(*args: P.args, **given: P.kwargs) -> None:
            from pipeline.build.given_settings import GivenSettings

            chosen = {name: given.pop(name) for name in names}
            file = chosen.pop("config")
            asked = {KEYS.get(name, name): value for name, value in chosen.items()}
            settings = GivenSettings(file, asked)  # type: ignore[arg-type]
            command(settings if unchecked else settings.load(), *args, **given)  # type: ignore[arg-type]

        own = list(inspect.signature(command).parameters.values())[1:]
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=OPTIONS[name])
            for name in names
        ]
        parameters = [*shared, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own)]
        # what typer reads: the names and the types, none of which need the configuration
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate
