"""What observers saw of parts of the images, written, read and merged, gives the ranges of the whole."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.collect import collect, first_images, ranges_from
from calibration.errors import ImagesError
from calibration.observed_images import ObservedImages
from calibration.recipe import QuantRecipe
from calibration.scheme import ObserverName
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Separable, export

SIZE = (12, 12, 3)
IMAGES = pictures(20, SIZE)
BATCHES = np.split(IMAGES, range(3, len(IMAGES), 3))
CHOOSING = "w8a8_asym_minmax_wide"
"""A recipe that looks at the first images again."""


@pytest.fixture(scope="module")
def float_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(Separable(), tmp_path_factory.mktemp("observed") / "float.onnx", SIZE).path


@pytest.mark.parametrize("name", [*(f"w8a8_asym_{one.value}" for one in ObserverName), CHOOSING])
@settings(max_examples=3, deadline=None)
@given(
    st.lists(st.integers(0, len(IMAGES)), max_size=4).map(sorted),
    st.randoms(use_true_random=False),
)
def test_ranges_are_those_of_the_whole_byte_for_byte(
    float_model: Path, name: str, cuts: list[int], draw: random.Random
) -> None:
    recipe, folder = QuantRecipe.parse(name), float_model.parent
    collect(float_model, BATCHES, recipe).save(folder / "whole.json")
    parts = []
    for number, part in enumerate(np.split(IMAGES, cuts)):
        file = folder / f"{number}.json"
        ObservedImages.of(float_model, [part] if len(part) else [], recipe).save(file)
        parts.append(ObservedImages.load(file, recipe))
    draw.shuffle(parts)
    first, *others = parts
    for other in others:
        first.merge(other)
    held = first_images(BATCHES, recipe)
    ranges_from(float_model, first, recipe, held).save(folder / "merged.json")
    assert (folder / "merged.json").read_bytes() == (folder / "whole.json").read_bytes()


def test_parts_without_an_image_are_refused_like_a_whole_without_one(float_model: Path) -> None:
    recipe = QuantRecipe.parse("w8a8_asym")
    with pytest.raises(ImagesError, match="The calibration set is empty"):
        ranges_from(float_model, ObservedImages.of(float_model, [], recipe), recipe, [])
