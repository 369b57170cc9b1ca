"""Runs an ONNX file in onnxruntime on the CPU: the toolchain that every other is compared with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from .exact.session import is_from_onnxruntime, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnxruntime
    from numpy.typing import NDArray

    from .exact.session import SessionSettings


class ReferenceRunner:
    """An opened ONNX model with one uint8 input `image` [N, H, W, C] and one float32 output `logits`."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        batch = session.get_inputs()[0].shape[0]
        self._batch = batch if isinstance(batch, int) else None  # a name stands for any number

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits [N, classes] for raw pixels [N, H, W, C]."""
        step = self._batch or max(1, len(images))
        if len(images) % step:
            raise ValueError(f"the model takes {step} images at a time, not {len(images)}")
        parts = [images[start : start + step] for start in range(0, len(images), step)]
        logits = [self._session.run(["logits"], {"image": part})[0] for part in parts]
        return np.concatenate(logits)


@contextmanager
def open_engine(
    path: Path, threads: int = 1, settings: SessionSettings | None = None
) -> Iterator[ReferenceRunner]:
    """Load the ONNX file at `path`; inference uses `threads` threads.

    A quantised graph gets settings that are exact on this processor (see `exact`), unless some are given.
    Raises ValueError if onnxruntime refuses the file, and NotExactError, which is one, if no settings are
    exact.
    """
    try:
        session = open_session(path, threads, settings)
    except Exception as error:
        if is_from_onnxruntime(error):
            raise ValueError(f"onnxruntime refuses {path}: {error}") from error
        raise
    yield ReferenceRunner(session)
