"""A runner that only makes a network's input from pixels: what `prepared_input` leaves out of its time."""

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
