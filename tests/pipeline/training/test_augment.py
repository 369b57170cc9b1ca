"""Crops, flips and smaller images, against their definition image by image."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.augment import random_colour, random_crop, random_flip, random_zoom, resized


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(1, 256, (count, 6, 5, 3), dtype=torch.uint8, generator=random)


@given(st.integers(0, 3), st.integers(0, 2**32))
def test_a_crop_is_the_image_shifted_over_black(margin: int, seed: int) -> None:
    images = pictures(4)
    cropped = random_crop(images, margin, torch.Generator().manual_seed(seed))
    assert cropped.dtype == torch.uint8
    for before, after in zip(images, cropped, strict=True):
        canvas = torch.zeros(6 + 2 * margin, 5 + 2 * margin, 3, dtype=torch.uint8)
        canvas[margin : margin + 6, margin : margin + 5] = before
        windows = (
            canvas[top : top + 6, left : left + 5]
            for top in range(2 * margin + 1)
            for left in range(2 * margin + 1)
        )
        assert any(torch.equal(after, window) for window in windows)


def test_crops_reach_every_offset() -> None:
    images = pictures(1).expand(500, -1, -1, -1)
    cropped = random_crop(images, 1, torch.Generator().manual_seed(0))
    assert len({bytes(image.numpy().tobytes()) for image in cropped}) == 9


def test_a_flip_mirrors_about_half_of_the_images_left_to_right() -> None:
    images = pictures(400)
    flipped = random_flip(images, torch.Generator().manual_seed(0))
    mirrored = [torch.equal(after, before.flip(1)) for before, after in zip(images, flipped, strict=True)]
    same = [torch.equal(after, before) for before, after in zip(images, flipped, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 150 < sum(mirrored) < 250


def test_the_same_seed_gives_the_same_batch() -> None:
    images = pictures(20)
    first, second = (random_crop(images, 2, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)


def test_a_smaller_image_keeps_its_proportions_and_its_mean() -> None:
    images = torch.full((2, 3, 32, 64), 0.25)
    small = resized(images, 24)
    assert small.shape == (2, 3, 24, 48)
    torch.testing.assert_close(small, torch.full_like(small, 0.25))
    assert resized(images, 32) is images


def ramp(count: int) -> torch.Tensor:
    """Images whose red is their x and whose green is their y, from 0 to 255."""
    place = torch.arange(32) * 255 / 31
    image = torch.stack([place.expand(32, 32), place.expand(32, 32).T, torch.zeros(32, 32)], dim=2)
    return image.round().to(torch.uint8).expand(count, -1, -1, -1)


def test_a_zoom_shows_a_part_of_the_wanted_size_and_no_outside() -> None:
    zoomed = random_zoom(ramp(300), 0.25, torch.Generator().manual_seed(0)).float()
    width = (zoomed[:, 16, -1, 0] - zoomed[:, 16, 0, 0]) / 255
    height = (zoomed[:, -1, 16, 1] - zoomed[:, 0, 16, 1]) / 255
    area = width * height
    assert 0.18 < area.min() < 0.3
    assert 0.85 < area.max() <= 1
    assert 0.7 < (width / height).min() < 0.8
    assert 1.25 < (width / height).max() < 1.43
    assert zoomed[:, :, :, 2].max() == 0


def test_a_zoom_to_everything_keeps_the_picture_apart_from_its_proportions() -> None:
    images = torch.full((5, 8, 8, 3), 77, dtype=torch.uint8)
    assert torch.equal(random_zoom(images, 0.1, torch.Generator().manual_seed(1)), images)


def test_colours_change_within_the_strength_and_each_image_by_itself() -> None:
    images = torch.full((400, 4, 4, 3), 100, dtype=torch.uint8)
    changed = random_colour(images, 0.3, torch.Generator().manual_seed(0)).float().mean((1, 2, 3))
    assert 69 <= changed.min() < 75
    assert 125 < changed.max() <= 131


def test_saturation_moves_colours_towards_and_away_from_grey() -> None:
    images = torch.tensor([150, 100, 50], dtype=torch.uint8).expand(400, 4, 4, 3)
    changed = random_colour(images, 0.2, torch.Generator().manual_seed(0)).float()
    spread = (changed[:, 0, 0, 0] - changed[:, 0, 0, 2]) / changed.mean((1, 2, 3))
    assert spread.min() < 0.85 < 1.15 < spread.max()


@pytest.mark.parametrize("seed", range(3))
def test_zooms_and_colours_follow_from_the_seed(seed: int) -> None:
    first, second = (torch.Generator().manual_seed(seed) for _ in range(2))
    images = pictures(10)
    assert torch.equal(random_zoom(images, 0.3, first), random_zoom(images, 0.3, second))
    assert torch.equal(random_colour(images, 0.3, first), random_colour(images, 0.3, second))
