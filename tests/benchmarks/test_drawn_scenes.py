"""The comparison of methods on networks for segmentation: what is drawn, and what is compared."""

from pathlib import Path

import numpy as np

from benchmarks.drawn_network import DrawnNetwork
from benchmarks.drawn_scenes import CLASSES, Scenes
from calibration.metrics import logits
from pipeline.build.plan import Build
from pipeline.cache.digest import file_digest
from pipeline.config import BuildConfig, load_config
from pipeline.data.masks import open_for_segmentation
from pipeline.progress import Silent
from targets.runtime.preprocess import Preprocessing
from tests.pipeline.pictures_with_masks import masked, net

GRAY = 7


def scenes(seed: int) -> Scenes:
    return Scenes.on(np.full((20, 80, 72, 3), GRAY, np.uint8), 64, 12, seed)


def test_a_mask_covers_all_that_is_drawn() -> None:
    found = scenes(0)
    assert found.images.shape == (12, 64, 64, 3)
    assert set(np.unique(found.masks)) == set(range(len(CLASSES)))
    assert (found.images[found.masks == 0] == GRAY).all()
    assert (found.images[found.masks > 0] != GRAY).any(axis=1).mean() > 0.9
    assert np.array_equal(scenes(0).images, found.images)
    assert not np.array_equal(scenes(1).masks, found.masks)


def test_what_is_written_is_a_data_set_with_masks(tmp_path: Path) -> None:
    found = scenes(0)
    found[:8].write(tmp_path / "calibration")
    found[8:].write(tmp_path / "test")
    dataset = open_for_segmentation(tmp_path, None, CLASSES, file_digest)
    assert len(dataset.split("calibration")) == 8
    (batch,) = dataset.split("evaluation").batches(Preprocessing(64, 64, 3, fit="stretch"), 8)
    assert batch.masks is not None
    assert np.array_equal(batch.images, found.images[8:])
    assert np.array_equal(batch.masks, found.masks[8:])


def test_pixels_are_compared_with_their_own_truth(tmp_path: Path) -> None:
    """Masks of what the network says make it right everywhere."""
    model = net(tmp_path)

    def drawn(data: Path) -> DrawnNetwork:
        chosen = {"model": str(model), "data": data, "out": tmp_path / "out"}
        return DrawnNetwork(Build(load_config(BuildConfig, None, chosen), Silent()), 0)

    for split in ("train", "test"):
        masked(tmp_path / "first", split, 4)
    first = drawn(tmp_path / "first")
    said = logits(first.model, first.evaluation()).argmax(axis=1).astype(np.int64)
    masked(tmp_path / "data", "train", 4)
    masked(tmp_path / "data", "test", 4, said)
    found = drawn(tmp_path / "data")
    assert found.reference.shape == (4 * 32 * 32, 4)
    assert len(set(found.truth.tolist())) > 1
    assert np.array_equal(found.truth, found.reference.argmax(axis=1))
