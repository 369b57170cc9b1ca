"""The weights for photos of groceries: small enough to commit, and with the stated accuracy."""

import pytest

from pipeline.data.open import open_dataset
from pipeline.models.checkpoint import load_model
from pipeline.models.zoo import find_model, find_weights
from pipeline.progress import Silent
from pipeline.training.judge import judge
from tests.conftest import SHARED

NAME = "resnet18-narrow2-grocery"
PHOTOS = SHARED / "photos" / "grocery_store_s160_q90.zip"


def test_the_weights_are_there_and_fit() -> None:
    model = find_model(NAME)
    path = find_weights(model)
    assert path.stat().st_size <= 6_000_000
    load_model(model, path, 43)


@pytest.mark.skipif(not PHOTOS.exists(), reason=f"no photos at {PHOTOS}")
def test_two_of_three_photos_get_the_right_class() -> None:
    """Of all test images 67.8 %; of 300 of them, by chance, 57 to 78."""
    model = find_model(NAME)
    photos = open_dataset(PHOTOS, "coarse").split("evaluation").stratified(300, seed=0)
    network = load_model(model, find_weights(model), 43)
    with Silent().task("judge", 300) as advance:
        assert 0.57 < judge(network, model, photos, advance).accuracy < 0.78
