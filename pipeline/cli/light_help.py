"""Loads typer's help pages without what they do not use."""

import sys
from collections.abc import Sequence
from types import ModuleType

ASKS_FOR_HELP = {"--help", "-h"}
UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}
"""Modules that typer.rich_utils takes a class from, for texts in Markdown and for exceptions in colour.

edgec has neither (`rich_markup_mode`, `pretty_exceptions_enable`). With what they load in turn they take
longer than the rest of a help page.
"""


def load_for(arguments: Sequence[str]) -> None:
    """Load typer's help pages if a command line asks for one, with empty classes in place of UNUSED."""
    if arguments and not ASKS_FOR_HELP.intersection(arguments):
        return
    empty = {name: ModuleType(name) for name in UNUSED.keys() - sys.modules.keys()}
    for name, module in empty.items():
        setattr(module, UNUSED[name], type(UNUSED[name], (), {}))
    sys.modules.update(empty)
    try:
        import typer.rich_utils  # noqa: F401
    finally:
        for name in empty:
            del sys.modules[name]
