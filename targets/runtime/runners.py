"""Finding a runner by its name: a module with `open_engine(path, threads)`, imported when it is needed.

A runner whose logits are the same on every machine, to the last bit, says so: `EXACT = True`.
"""

from __future__ import annotations

import importlib
from typing import Any


def find_runner(name: str) -> Any:
    """Return the runtime's module `name` (`native_runner`, `tensorrt.runner`), or else a module elsewhere.

    Raises ModuleNotFoundError for it, or for a module that it imports.
    """
    beside = f"{__package__}.{name}"
    try:
        return importlib.import_module(beside)
    except ModuleNotFoundError as error:
        if not f"{beside}.".startswith(f"{error.name}."):  # it exists, and one of its imports is missing
            raise
    return importlib.import_module(name)


def is_exact(runner: Any) -> bool:
    """Whether a runner says that its logits are the same on every machine, to the last bit."""
    return bool(getattr(runner, "EXACT", False))
