"""How many calibration images are enough: closeness to the float model by their number, in several draws."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import ImagesError
from calibration.metrics import Closeness, closeness, logits
from calibration.prepare_float import Images
from calibration.produce import produce
from calibration.recipe import QuantRecipe

ENOUGH_DB = 0.25


@dataclass(frozen=True)
class Design:
    """Which numbers of images are tried, and the seed of each draw."""

    counts: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


DEFAULT = Design()


@dataclass(frozen=True)
class Pool:
    """`size` images to draw from: `draw(indices)` gives batches of uint8 [n, H, W, C] of the chosen ones."""

    size: int
    draw: Callable[[Sequence[int]], Iterable[NDArray[np.uint8]]]


@dataclass(frozen=True)
class StudyPoint:
    """The results with `images` calibration images, one per draw."""

    images: int
    draws: tuple[Closeness, ...]

    @property
    def mean_sqnr_db(self) -> float:
        """The mean SQNR over the draws."""
        return float(np.mean([draw.sqnr_db for draw in self.draws]))

    @property
    def spread_sqnr_db(self) -> float:
        """The largest minus the smallest SQNR over the draws."""
        return float(np.ptp([draw.sqnr_db for draw in self.draws]))

    @property
    def mean_agreement(self) -> float:
        """The mean agreement over the draws."""
        return float(np.mean([draw.agreement for draw in self.draws]))


def study(
    model: Path,
    recipe: QuantRecipe,
    pool: Pool,
    evaluation: Images,
    folder: Path,
    design: Design = DEFAULT,
    on_draw: Callable[[int], None] = lambda _: None,
) -> list[StudyPoint]:
    """Quantise `model` with the first n images of a random order, for each of the design's n and seeds.

    The images of a smaller count are among those of a larger one with the same seed. Counts above the pool's
    size are left out. `evaluation` gives other images. `on_draw` is called with 1 after each model. Raises
    ImagesError if no count is left.
    """
    usable = sorted(n for n in set(design.counts) if 1 <= n <= pool.size)
    if not usable:
        raise ImagesError(
            f"{pool.size} images are too few to study calibration with {min(design.counts)} or more of them."
        )
    reference = logits(model, evaluation())
    points = []
    for count in usable:
        draws = []
        for seed in design.seeds:
            chosen = np.random.default_rng(seed).permutation(pool.size)[:count].tolist()
            made = produce(model, lambda chosen=chosen: pool.draw(chosen), recipe, folder)  # type: ignore[misc]
            draws.append(closeness(reference, logits(made.quantized, evaluation())))
            on_draw(1)
        points.append(StudyPoint(count, tuple(draws)))
    return points


def enough(points: Sequence[StudyPoint], tolerance_db: float = ENOUGH_DB) -> int | None:
    """The smallest count from which every draw is at most `tolerance_db` under the largest count's mean SQNR.

    None if only the largest count is: more images might then still help.
    """
    target = points[-1].mean_sqnr_db - tolerance_db
    good = [all(draw.sqnr_db >= target for draw in point.draws) for point in points]
    for i, point in enumerate(points[:-1]):
        if all(good[i:]):
            return point.images
    return None
