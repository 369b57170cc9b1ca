"""Classifies pictures with one of several engines, and measures the time.

Where libedgec runs the engine, it also makes the network's input: the path of any program that embeds it.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from ..classify import NoAnswer, likeliest
from ..embedded_network import EmbeddedFrame, EmbeddedNetwork, EmbeddedNetworkError
from ..runners import find_runner

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ..embedded_network import EmbeddedContext
    from ..preprocess import Preprocessing

    Image = NDArray[np.uint8]

OF_LIBEDGEC = "native_runner"
"""The runner whose engines libedgec opens."""


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

    All cameras share it: each gets its own `for_camera`. An engine other than the first may not run on this
    machine; `unavailable` then has the reason.
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
        self.classes = classes
        self.preprocessing = preprocessing
        self.threads = threads
        self.top = top
        self._open = ExitStack()
        self.embedded: EmbeddedNetwork | None = None
        self.runners: dict[str, Callable[[Image], NDArray[np.float32]] | None] = {}
        """What gives the logits of an input; None: libedgec does."""
        self.precision = next(iter(engines))
        self.unavailable: dict[str, str] = {}

    def __enter__(self) -> Recogniser:
        for number, (precision, engine) in enumerate(self._engines.items()):
            try:
                opened = self._opened(engine)
            except (ImportError, ValueError, OSError) as error:
                if number == 0:
                    self._open.close()
                    raise
                self.unavailable[precision] = str(error)
                continue
            self.runners[precision] = opened
        return self

    def _opened(self, engine: Engine) -> Callable[[Image], NDArray[np.float32]] | None:
        if engine.runner == OF_LIBEDGEC and self.embedded is None:
            self.embedded = self._open.enter_context(EmbeddedNetwork(engine.path))
            return None
        runner = self._open.enter_context(find_runner(engine.runner).open_engine(engine.path, self.threads))
        using = threading.Lock()

        def logits(pixels: Image) -> NDArray[np.float32]:
            with using:
                found: NDArray[np.float32] = runner.infer(pixels[None])[0]
            return found

        return logits

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def for_camera(self) -> CameraRecogniser:
        """Return what one camera's thread classifies with; closed together with this."""
        return self._open.enter_context(CameraRecogniser(self))

    @property
    def precisions(self) -> list[str]:
        """The precisions to switch between."""
        return list(self.runners)

    def use(self, precision: str) -> None:
        """Switch to a precision. Raises ValueError if it has no usable engine."""
        if precision not in self.runners:
            reason = self.unavailable.get(precision, "there is no such engine")
            raise ValueError(f"{precision} cannot be used: {reason}")
        self.precision = precision


class CameraRecogniser:
    """Classifies the pictures of one camera, in one thread. A context manager."""

    def __init__(self, shared: Recogniser) -> None:
        self._shared = shared
        self._context: EmbeddedContext | None = None
        self._largest = (0, 0)

    def __enter__(self) -> CameraRecogniser:
        return self

    def __exit__(self, *_: object) -> None:
        if self._context is not None:
            self._context.close()

    def __call__(self, image: Image) -> Recognition:
        """Classify a picture uint8 [H, W, 3] RGB of any size. Raises NoAnswer."""
        shared = self._shared
        precision = shared.precision
        runner = shared.runners[precision]
        try:
            context = self._context_for(image)
            start = time.perf_counter()
            if context is None:
                pixels = shared.preprocessing(image)
            else:
                pixels = context.prepare(EmbeddedFrame("RGB", (image,)))
            ready = time.perf_counter()
            logits = context.run(pixels) if context is not None and runner is None else _run(runner, pixels)
            done = time.perf_counter()
        except EmbeddedNetworkError as error:  # a picture larger than libedgec takes
            raise NoAnswer(str(error)) from error
        best = likeliest(logits, shared.classes, shared.top)
        return Recognition(best, precision, 1e3 * (ready - start), 1e3 * (done - ready))

    def _context_for(self, image: Image) -> EmbeddedContext | None:
        """Return a context for pictures of this size; a camera seldom changes it."""
        network = self._shared.embedded
        if network is None:
            return None
        height, width = (max(a, b) for a, b in zip(image.shape[:2], self._largest))
        if self._context is None or (height, width) != self._largest:
            made = network.context(self._shared.threads, (height, width))
            if self._context is not None:
                self._context.close()
            self._context, self._largest = made, (height, width)
        return self._context


def _run(runner: Callable[[Image], NDArray[np.float32]] | None, pixels: Image) -> NDArray[np.float32]:
    assert runner is not None  # noqa: S101 - only libedgec's engine has none
    return runner(pixels)
