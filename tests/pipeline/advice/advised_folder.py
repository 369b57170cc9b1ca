"""A folder of pictures that is given to edgec, and changed when its advice is followed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.data.open import open_dataset
from tests.pipeline.data.pictures import (
    png,
    random_pixels,
)

PICTURES = {f"a/{number}.png": png(one) for number, one in enumerate(random_pixels(4))}


@dataclass
class AdvisedFolder:
    """The input given to edgec, which is changed when advice is followed."""

    place: Path
    labels: str | None = None
    read: Callable[[Path, str | None], object] = lambda place, labels: len(
        open_dataset(place, labels).split("evaluation")
    )
    heeded: list[str] = field(default_factory=list)


Case = Callable[[AdvisedFolder], Callable[[], object]]
"""Makes a folder that edgec refuses, and returns what follows the advice."""


def set_to(trial: AdvisedFolder, name: str, value: object) -> Callable[[], object]:
    return lambda: setattr(trial, name, value)
