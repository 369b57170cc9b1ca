from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import ImagesError
from calibration.explore.image_count import Design, Pool, StudyPoint, enough, study
from calibration.metrics import Closeness
from calibration.recipe import QuantRecipe, Scheme
from tests.calibration.conftest import pictures

IMAGES = pictures(40, (16, 16, 3))
EVALUATION = pictures(24, (16, 16, 3), seed=1)


def _study(model: Path, folder: Path, pool: Pool, design: Design) -> list[StudyPoint]:
    return study(model, QuantRecipe(Scheme.ASYM), pool, lambda: [EVALUATION], folder, design)


def test_every_count_has_a_result_a_seed_and_more_images_never_shrink_the_draw(
    rgb_model: Path, tmp_path: Path
) -> None:
    drawn: list[list[int]] = []

    def draw(indices: Sequence[int]) -> list[np.ndarray]:
        drawn.append(list(indices))
        return [IMAGES[list(indices)]]

    points = _study(rgb_model, tmp_path, Pool(len(IMAGES), draw), Design((16, 4, 400), (0, 1, 2)))
    assert [(p.images, len(p.draws)) for p in points] == [(4, 3), (16, 3)]
    assert all(set(few) <= set(many) for few, many in zip(drawn[:3], drawn[3:], strict=True))
    assert len({tuple(d) for d in drawn}) == 6
    assert all(
        p.spread_sqnr_db >= 0 and np.isfinite(p.mean_sqnr_db) and 0 <= p.mean_agreement <= 1 for p in points
    )


def test_too_few_images_for_any_count_is_an_error(rgb_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="3 images are too few"):
        _study(rgb_model, tmp_path, Pool(3, lambda i: [IMAGES[list(i)]]), Design((4, 8)))


def _point(images: int, *sqnr: float) -> StudyPoint:
    return StudyPoint(images, tuple(Closeness(1.0, s) for s in sqnr))


def test_enough_is_where_every_later_draw_is_good() -> None:
    assert enough([_point(8, 20, 30), _point(16, 29.9, 30), _point(32, 30, 30)]) == 16
    assert enough([_point(8, 30, 30), _point(16, 29, 30), _point(32, 30, 30), _point(64, 30, 30)]) == 32
    assert enough([_point(8, 20, 30), _point(16, 25, 30)]) is None
