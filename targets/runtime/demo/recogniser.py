"""Classifies pictures with one of several engines, and measures the time."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..classify import likeliest
from ..runners import find_runner

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ..preprocess import Preprocessing


@dataclass(frozen=True)
class Recognition:
    """The most likely classes of a picture with their probabilities, and the milliseconds of each step."""

    classes: list[tuple[str, float]]
    precision: str
    preprocess_ms: float
    model_ms: float


@dataclass(frozen=True)
class Engine:
    """An engine file and the module of this folder that opens it."""

    runner: str
    path: Path


class Recogniser:
    """Engines by precision, such as "int8" and "fp32"; one of them is in use. A context manager.

    An engine other than the first may not run on this machine; `unavailable` then has the reason.
    """

    def __init__(
        self,
        engines: dict[str, Engine],
        classes: tuple[str, ...],
        preprocessing: Preprocessing,
        threads: int = 1,
        top: int = 3,
    ) -> None:
        self._engines = engines
        self._classes = classes
        self._preprocessing = preprocessing
        self._threads = threads
        self._top = top
        self._open = ExitStack()
        self._runners: dict[str, Any] = {}
        self._using = threading.Lock()
        self.precision = next(iter(engines))
        self.unavailable: dict[str, str] = {}

    def __enter__(self) -> Recogniser:
        for number, (precision, engine) in enumerate(self._engines.items()):
            try:
                module = find_runner(engine.runner)
                opened = self._open.enter_context(module.open_engine(engine.path, self._threads))
            except (ImportError, ValueError, OSError) as error:
                if number == 0:
                    self._open.close()
                    raise
                self.unavailable[precision] = str(error)
                continue
            self._runners[precision] = opened
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def precisions(self) -> list[str]:
        """The precisions to switch between."""
        return list(self._runners)

    def use(self, precision: str) -> None:
        """Switch to a precision. Raises ValueError if it has no usable engine."""
        if precision not in self._runners:
            reason = self.unavailable.get(precision, "there is no such engine")
            raise ValueError(f"{precision} cannot be used: {reason}")
        self.precision = precision

    def __call__(self, image: NDArray[np.uint8]) -> Recognition:
        """Classify a picture uint8 [H, W, 3] of any size."""
        with self._using:
            precision = self.precision
            start = time.perf_counter()
            pixels = self._preprocessing(image)
            ready = time.perf_counter()
            logits = self._runners[precision].infer(pixels[None])[0]
            done = time.perf_counter()
        best = likeliest(logits, self._classes, self._top)
        return Recognition(best, precision, 1e3 * (ready - start), 1e3 * (done - ready))
