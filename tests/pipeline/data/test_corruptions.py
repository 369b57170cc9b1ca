"""Corruptions are those of ImageNet-C and CIFAR-10-C, the same bytes for the same image and seed."""

import colorsys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.data.corruptions import CORRUPTIONS, SEVERITIES, Corruption, parameters_of

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}
every_corruption = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: c.name)
every_shape = pytest.mark.parametrize("shape", [(32, 32, 1), (32, 32, 3), (96, 120, 3)])


def picture(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint8]:
    """Soft shapes with some detail: neither flat nor noise."""
    rough = np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)
    soft = cv2.GaussianBlur(rough, (0, 0), 2).reshape(shape)
    scaled: NDArray[np.float32] = (soft - soft.min()) / (soft.max() - soft.min()) * 200 + 20
    return scaled.astype(np.uint8)


def damage(corruption: Corruption, image: NDArray[np.uint8], severity: int) -> float:
    return float(np.abs(corruption(image, severity, 0).astype(int) - image).mean())


@every_corruption
@every_shape
def test_shape_and_type_stay_and_the_input_too(corruption: Corruption, shape: tuple[int, ...]) -> None:
    image = picture(shape)
    before = image.copy()
    result = corruption(image, 3, seed=0)
    assert result.shape == shape
    assert result.dtype == np.uint8
    assert np.array_equal(image, before)
    assert not np.array_equal(result, image)


@every_corruption
@every_shape
def test_each_severity_is_worse_than_the_one_before(corruption: Corruption, shape: tuple[int, ...]) -> None:
    images = [picture(shape, seed) for seed in range(6)]
    found = [np.mean([damage(corruption, image, s) for image in images]) for s in SEVERITIES]
    assert found == sorted(found)
    assert found[-1] > 1.5 * found[0]


@every_corruption
def test_the_same_image_and_seed_give_the_same_bytes(corruption: Corruption) -> None:
    one, other = picture((32, 32, 3), 1), picture((32, 32, 3), 2)
    alone = corruption(one, 5, seed=7)
    corruption(other, 5, seed=7)
    assert np.array_equal(corruption(one.copy(), 5, seed=7), alone)


@pytest.mark.parametrize("name", ["gaussian noise", "shot noise", "low light", "motion blur"])
def test_another_seed_gives_another_picture(name: str) -> None:
    image = picture((32, 32, 1))
    assert not np.array_equal(BY_NAME[name](image, 3, seed=0), BY_NAME[name](image, 3, seed=1))


def test_two_images_do_not_share_their_noise() -> None:
    flat, darker = np.full((32, 32, 1), 120, np.uint8), np.full((32, 32, 1), 119, np.uint8)
    noise = [BY_NAME["gaussian noise"](one, 3, 0).astype(int) - one for one in (flat, darker)]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.2


@pytest.mark.parametrize(("side", "sigmas"), [(32, (0.4, 0.6, 0.7, 0.8, 1)), (224, (1, 2, 3, 4, 6))])
def test_gaussian_blur_equals_scipys(side: int, sigmas: tuple[float, ...]) -> None:
    image = picture((side, side, 3))
    for severity, sigma in zip(SEVERITIES, sigmas, strict=True):
        theirs = ndimage.gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="nearest")
        assert np.abs(BY_NAME["gaussian blur"](image, severity, 0) - theirs).max() <= 0.51


@pytest.mark.parametrize(("side", "sigmas"), [(32, (0.04, 0.1)), (224, (0.08, 0.38))])
def test_gaussian_noise_has_the_published_spread(side: int, sigmas: tuple[float, float]) -> None:
    gray = np.full((side, side, 3), 128, np.uint8)
    for severity, sigma in zip((1, 5), sigmas, strict=True):
        found = BY_NAME["gaussian noise"](gray, severity, 0)
        inside = (found > 0) & (found < 255)
        expected = float(
            ndimage.standard_deviation(
                np.clip(sigma * np.random.default_rng(0).standard_normal(200_000) + 128 / 255, 0, 1)
            )
        )
        assert found.std() / 255 == pytest.approx(expected, rel=0.05)
        assert inside.mean() > 0.8


@pytest.mark.parametrize(("severity", "photons"), [(1, 60), (3, 12)])
def test_shot_noise_has_poissons_variance(severity: int, photons: float) -> None:
    gray = np.full((224, 224, 1), 102, np.uint8)
    found = BY_NAME["shot noise"](gray, severity, 0) / 255
    assert found.mean() == pytest.approx(0.4, rel=0.01)
    assert found.var() == pytest.approx(0.4 / photons, rel=0.05)


def test_low_light_is_darker_by_its_share_and_noisier_for_it() -> None:
    gray = np.full((224, 224, 1), 204, np.uint8)
    found = BY_NAME["low light"](gray, 2, 0) / 255
    assert found.mean() == pytest.approx(0.5 * 0.8, rel=0.02)
    assert found.std() / found.mean() > (BY_NAME["shot noise"](gray, 2, 0) / 255).std() / 0.8


@given(st.tuples(*[st.integers(0, 255)] * 3), st.sampled_from(SEVERITIES))
def test_exposure_shifts_the_value_of_hsv(colour: tuple[int, int, int], severity: int) -> None:
    for name, sign in (("overexposure", 1), ("underexposure", -1)):
        pixels = np.full((32, 32, 3), colour, np.uint8)
        h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
        shift = sign * (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]
        theirs = colorsys.hsv_to_rgb(h, s, min(1.0, max(0.0, v + shift)))
        found = BY_NAME[name](pixels, severity, 0)[0, 0]
        assert np.abs(found - 255 * np.array(theirs)).max() <= 0.51


def test_jpeg_is_opencvs_own_at_the_published_quality() -> None:
    image = picture((32, 32, 3))
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 40])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    assert decoded is not None
    assert np.array_equal(BY_NAME["jpeg"](image, 5, 0), decoded)


@pytest.mark.parametrize("name", ["defocus blur", "motion blur"])
def test_blur_keeps_light_and_spreads_a_point(name: str) -> None:
    point = np.zeros((224, 224, 1), np.uint8)
    point[112, 112] = 255
    found = [BY_NAME[name](point, severity, 0) for severity in (1, 5)]
    assert np.count_nonzero(found[0]) > 1
    assert int(found[0].sum()) == pytest.approx(255, rel=0.2)  # each pixel is rounded to a level
    assert found[1].max() < found[0].max()


def test_motion_blur_smears_one_way_along_a_line() -> None:
    point = np.zeros((224, 224, 1), np.uint8)
    point[112, 112] = 255
    rows, columns = np.nonzero(BY_NAME["motion blur"](point, 5, seed=3)[:, :, 0])
    assert (columns <= 112).all()
    assert abs(np.corrcoef(rows, columns)[0, 1]) > 0.95


@pytest.mark.parametrize(
    ("size", "table"),
    [
        ((32, 32), "CIFAR-10-C"),
        ((84, 300), "CIFAR-10-C"),
        ((85, 85), "ImageNet-C"),
        ((224, 224), "ImageNet-C"),
    ],
)
def test_an_image_takes_the_table_made_for_its_size(size: tuple[int, int], table: str) -> None:
    assert parameters_of(*size) == table


@pytest.mark.parametrize("severity", [0, 6, -1])
def test_other_severities_are_refused(severity: int) -> None:
    with pytest.raises(ValueError, match=f"severity is {severity}"):
        CORRUPTIONS[0](picture((32, 32, 1)), severity, 0)
