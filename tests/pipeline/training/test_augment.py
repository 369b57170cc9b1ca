"""Crops, flips and smaller images, against their definition image by image."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.augment import (
    random_colour,
    random_crop,
    random_erase,
    random_flip,
    random_zoom,
    resized,
)


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


@given(st.floats(0.01, 0.9), st.integers(0, 2**32))
def test_a_zoom_shows_a_window_of_the_image(cut: float, seed: int) -> None:
    """On a ramp, what is shown is a ramp too: less steep as less is shown, and within the image."""
    ramp = torch.linspace(0, 1, 64)[None, None, None, :].expand(8, 1, 64, 64)
    zoomed = random_zoom(ramp, cut, torch.Generator().manual_seed(seed))
    assert zoomed.shape == ramp.shape
    inner = zoomed[:, 0, 32, 2:-2]
    shown = (inner[:, -1] - inner[:, 0]) * 63 / 59  # the window's share of the width
    assert (shown <= 1 + 1e-3).all()
    assert (shown >= (1 - cut) ** 0.5 * (3 / 4) ** 0.5 - 1e-3).all()
    steps = inner.diff(dim=1)
    torch.testing.assert_close(steps, steps.mean(1, keepdim=True).expand_as(steps), atol=1e-3, rtol=0)


def test_colours_change_within_bounds_and_gray_stays_gray() -> None:
    images = pictures(50)
    changed = random_colour(images, 0.3, torch.Generator().manual_seed(0))
    assert changed.min() >= 0
    assert changed.max() <= 255
    bright = changed.mean((1, 2, 3)) / images.float().mean((1, 2, 3))
    assert ((bright > 0.6) & (bright < 1.35)).all()
    assert bright.std() > 0.05
    gray = images[..., :1].expand(-1, -1, -1, 3)
    made = random_colour(gray, 0.3, torch.Generator().manual_seed(1))
    torch.testing.assert_close(made[..., 0], made[..., 2])


def test_erasing_hits_the_share_that_was_asked_for_with_one_rectangle() -> None:
    images = torch.ones(400, 3, 20, 20)
    erased = random_erase(images, 0.5, torch.Generator().manual_seed(0))
    gone = (erased == 0).all(1)
    assert (erased == 0).any(1).eq(gone).all()  # in all channels
    hit = gone.any((1, 2))
    assert 150 < int(hit.sum()) < 250
    for mask in gone[hit]:
        rows, columns = mask.any(1), mask.any(0)
        assert mask.sum() == rows.sum() * columns.sum()  # a full rectangle
        assert mask.float().mean() <= 0.3
