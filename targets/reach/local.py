"""Runs an engine of machine code on the build machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from targets.base import require_engine
from targets.errors import EngineError
from targets.runtime.native_runner import NativeRunner, open_engine


@contextmanager
def open_local(engine: Path, threads: int, target: str) -> Iterator[NativeRunner]:
    """Open an engine. Raises EngineError."""
    require_engine(engine, target)
    try:
        with open_engine(engine, threads) as runner:
            yield runner
    except ValueError as error:
        raise EngineError(str(error)) from error
