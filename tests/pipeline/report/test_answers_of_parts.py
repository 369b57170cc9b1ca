"""The accuracy of a set is the same, byte for byte, however it was cut into parts."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.report.image_answers import ImageAnswers, image_accuracy
from pipeline.report.image_tally import AccuracyTally
from pipeline.report.pixel_answers import PixelAnswers, pixel_accuracy
from pipeline.report.pixel_tally import PixelTally
from targets.base import Origin
from targets.runtime.preprocess import VOID

IMAGES, CLASSES, SIDE = 60, 7, 4
CUTS = st.lists(st.integers(0, IMAGES), max_size=8)


def logits(shape: tuple[int, ...], seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """FP32's and noisier ones: most answers are equal, some are not."""
    random = np.random.default_rng(seed)
    fp32 = random.standard_normal(shape).astype(np.float32) * 1e3
    return fp32, fp32 + random.standard_normal(shape).astype(np.float32) * 500


def bounds(cuts: list[int]) -> list[slice]:
    ends = [0, *sorted(cuts), IMAGES]
    return [slice(*pair) for pair in pairwise(ends)]


@given(CUTS, st.integers(0, 1000))
@settings(max_examples=25)
def test_images(cuts: list[int], seed: int) -> None:
    fp32, int8 = logits((IMAGES, CLASSES), seed)
    labels = np.where(np.arange(IMAGES) % 3 > 0, fp32.argmax(1), 0).astype(np.int64)
    names = [f"{n % 50}.png" for n in range(IMAGES)]  # names may occur twice
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 8, 8, 3), np.uint8)

    def answers(part: slice) -> ImageAnswers:
        tally = AccuracyTally(CLASSES)
        tally.add(fp32[part], int8[part], labels[part], pixels[part], names[part])
        return ImageAnswers.model_validate_json(tally.answers().to_json())

    whole = image_accuracy([answers(slice(0, IMAGES))], Origin.HOST, Origin.EMULATOR)
    parts = image_accuracy([answers(part) for part in bounds(cuts)], Origin.HOST, Origin.EMULATOR)
    assert parts.to_json() == whole.to_json()
    assert whole.negative_flips


@given(CUTS, st.integers(0, 1000), st.booleans())
@settings(max_examples=15)
def test_pixels(cuts: list[int], seed: int, labelled: bool) -> None:
    fp32, int8 = logits((IMAGES, CLASSES, SIDE, SIDE), seed)
    masks = np.random.default_rng(seed).integers(0, CLASSES, (IMAGES, SIDE, SIDE), np.uint8)
    masks[::5] = VOID  # images that do not count
    pixels = np.zeros((IMAGES, SIDE, SIDE, 3), np.uint8)
    names = [f"{n}.png" for n in range(IMAGES)]

    def answers(part: slice) -> PixelAnswers:
        tally = PixelTally(CLASSES)
        if len(names[part]):
            tally.add(fp32[part], int8[part], masks[part] if labelled else None, pixels[part], names[part])
        return PixelAnswers.model_validate_json(tally.answers().to_json())

    whole = pixel_accuracy([answers(slice(0, IMAGES))], Origin.HOST, Origin.EMULATOR)
    parts = pixel_accuracy([answers(part) for part in bounds(cuts)], Origin.HOST, Origin.EMULATOR)
    assert parts.to_json() == whole.to_json()
    assert whole.worst
