"""What a picture goes through on its way to the top-5, step by step: a runner of `targets.runtime.measure`.

What it opens is a JSON file that `PictureSteps.save` wrote. Each run takes the next picture, and does with it
what the code that ships does.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.runtime.classify import likeliest
from targets.runtime.preprocess import Preprocessing, decode
from targets.runtime.runners import find_runner

DECODE, FIT, INFER, WHOLE = "decode", "fit", "infer", "whole"
TOP = 5


@dataclass(frozen=True)
class PictureSteps:
    """Pictures in an .npz file, as stored: `encoded` files, or pixels; and what becomes of them."""

    pictures: Path
    encoded: bool
    preprocessing: dict[str, Any]
    runner: str
    engine: Path
    classes: int
    step: str = WHOLE

    def save(self, path: Path, step: str) -> Path:
        """Write the JSON file that makes `open_engine` do one of the steps, and return its path."""
        path.write_text(json.dumps(asdict(replace(self, step=step)), default=str))
        return path


class StepRunner:
    """Does one step with the next picture in each run."""

    def __init__(self, step: Callable[[Any], object], inputs: list[Any]) -> None:
        self._step = step
        self._inputs = itertools.cycle(inputs)

    def infer(self, images: NDArray[np.uint8]) -> object:  # noqa: ARG002 - it has its own pictures
        """Do it."""
        return self._step(next(self._inputs))


@contextmanager
def open_engine(path: Path, threads: int = 1) -> Iterator[StepRunner]:
    """Open the files of `PictureSteps.save`, with `threads` threads for OpenCV and the engine."""
    found = PictureSteps(**json.loads(path.read_text()))
    preprocessing = Preprocessing(**found.preprocessing)
    import cv2

    cv2.setNumThreads(threads)
    with np.load(found.pictures, allow_pickle=False) as file:
        stored = [file[name] for name in file.files]

    def decoded(picture: Any) -> NDArray[np.uint8]:  # noqa: ANN401 - bytes or pixels
        return decode(picture, preprocessing.channels) if found.encoded else picture

    inputs = [picture.tobytes() if found.encoded else picture for picture in stored]
    if found.step == DECODE:
        yield StepRunner(decoded, inputs)
        return
    if found.step == FIT:
        yield StepRunner(preprocessing, [decoded(picture) for picture in inputs])
        return
    names = tuple(map(str, range(found.classes)))
    with find_runner(found.runner).open_engine(Path(found.engine), threads) as engine:

        def whole(picture: Any) -> object:  # noqa: ANN401 - as above
            return _answer(engine.infer(preprocessing(decoded(picture))[None])[0], names)

        if found.step == INFER:
            yield StepRunner(engine.infer, [preprocessing(decoded(picture))[None] for picture in inputs])
        else:
            yield StepRunner(whole, inputs)


def _answer(logits: NDArray[np.float32], names: tuple[str, ...]) -> object:
    """Return the top-5 of a picture, or the class of each of its pixels; an engine's logits may be flat."""
    if logits.size > len(names):
        return logits.reshape(len(names), -1).argmax(0)
    return likeliest(logits, names, TOP)
