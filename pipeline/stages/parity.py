"""How closely model.onnx matches the network that it was written from, on real images: parity.json."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

FILE = "parity.json"


@dataclass(frozen=True)
class ComparedOutputs:
    """The outputs of a network and of model.onnx for the same images, of one shape: an image a row."""

    expected: NDArray[np.float32]
    found: NDArray[np.float32]
    rounded_by: float = 0.0
    """The rounding error of the network's own precision, as a share of the largest output."""

    def rounding(self) -> float:
        """Return the largest difference that the network's own precision explains."""
        return self.rounded_by * float(np.abs(self.expected).max(initial=0.0)) if self.rounded_by else 0.0


@dataclass(frozen=True)
class Parity:
    """`max_difference`: the largest absolute difference of a logit on `images` images; NaN if one is NaN."""

    images: int
    max_difference: float

    @classmethod
    def of(cls, compared: Iterable[ComparedOutputs]) -> Self:
        """Compare batch by batch."""
        images, largest = 0, 0.0
        for batch in compared:
            with np.errstate(invalid="ignore"):  # inf - inf: NaN, which no limit allows
                largest = float(np.maximum(largest, np.abs(batch.expected - batch.found).max()))
            images += len(batch.expected)
        return cls(images, largest)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text()))

    def save(self, folder: Path) -> None:
        """Write parity.json."""
        (folder / FILE).write_text(json.dumps(asdict(self)))
