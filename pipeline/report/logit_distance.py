"""Compares FP32's and INT8's logits of the same images: are they finite, and how far apart are they?"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ReportError

Logits = NDArray[np.float32]


class LogitNoise:
    """Signal and quantisation noise of each image's logits.

    They are added up exactly, so that the result does not depend on batches or on their order.
    """

    def __init__(self, signal: Iterable[float] = (), noise: Iterable[float] = ()) -> None:
        self.signal, self.noise = list(signal), list(noise)

    def add(self, fp32: Logits, int8: Logits) -> None:
        """Count a batch: logits of one shape, an image a row."""
        rows = len(fp32), math.prod(fp32.shape[1:])
        self.signal += np.square(fp32, dtype=np.float64).reshape(rows).sum(axis=1).tolist()
        self.noise += np.square(fp32.astype(np.float64) - int8).reshape(rows).sum(axis=1).tolist()

    @property
    def sqnr_db(self) -> float | None:
        """10 log10(sum fp32^2 / sum (fp32 - int8)^2), in dB; None without noise or signal."""
        signal, noise = math.fsum(self.signal), math.fsum(self.noise)
        return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None


def refuse_not_finite(fp32: Logits, int8: Logits, names: Sequence[str]) -> None:
    """Raise ReportError naming the first image with a logit that is not finite: logits [N, ...], N names."""
    for what, logits in (("FP32", fp32), ("INT8", int8)):
        bad = np.flatnonzero(~np.isfinite(logits).all(axis=tuple(range(1, logits.ndim))))
        if len(bad):
            raise ReportError(
                f"{what} logits are not finite for {len(bad)} of {len(names)} images, first "
                f"{names[int(bad[0])]}: the engine is broken, its accuracy would mean nothing"
            )


def named_class(logits: Logits) -> NDArray[np.int64]:
    """Return the class [N, ...] of logits [N, classes, ...]; -1 where one of them is not finite."""
    return np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), -1)


def label_rank(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place [N] of each label among logits [N, classes], 0 the best; ties go to the lower index.

    That is argmax's rule, so place 0 is exactly top-1 even where INT8 logits tie.
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    ahead: NDArray[np.bool_] = (logits > own) | ((logits == own) & earlier)
    rank: NDArray[np.int64] = np.count_nonzero(ahead, axis=1)
    return rank


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return log probabilities [N, classes] in nats."""
    shifted: NDArray[np.float64] = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    total: NDArray[np.float64] = np.exp(shifted).sum(axis=1, keepdims=True)
    return shifted - np.log(total)


def kl_divergence(reference: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return KL(softmax(reference) || softmax(other)) in nats, [N], for logits [N, classes]."""
    log_p, log_q = log_softmax(reference), log_softmax(other)
    divergence: NDArray[np.float64] = (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
    return np.maximum(divergence, 0.0)  # rounding can leave -1e-17
