"""A runner that only prepares a network's input from pixels, which `prepared_input` does not time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from targets.peers import prepared_input
from targets.peers.prepared_input import PreparationRunner


@contextmanager
def open_engine(path: Path, threads: int = 1) -> Iterator[PreparationRunner]:
    """Open what `PreparedNetwork.save` wrote. Raises EngineError if onnxruntime refuses its network."""
    with prepared_input.open_engine(path, threads) as runner:
        yield PreparationRunner(runner)
