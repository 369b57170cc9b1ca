"""libedgec makes of a camera's frame what calibration made of such a picture, byte for byte."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from targets.runtime.embedded_network import (
    EmbeddedContext,
    EmbeddedFrame,
    EmbeddedNetwork,
    EmbeddedNetworkError,
)
from targets.runtime.preprocess import FITS, Preprocessing
from tests.targets.runtime.libedgec.camera_scenes import (
    LIBJPEG_FULL,
    OPENCV_LIMITED,
    Scene,
    by_opencv,
    random_scene,
    standard,
    to_rgb,
)
from tests.targets.runtime.libedgec.conftest import Engines
from tests.targets.runtime.libedgec.tiny_networks import PackedNetwork

Prepare = Callable[[Preprocessing], EmbeddedContext]


@pytest.fixture(scope="module")
def context(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Prepare:
    """A context of a bundle that fits pictures in some way; its network takes 24 x 20 pixels."""

    @cache
    def opened(fitting: Preprocessing) -> EmbeddedContext:
        engine = engines.color if fitting.channels == 3 else engines.gray
        folder = PackedNetwork(engine, fitting).unpacked(tmp_path_factory.mktemp("fitting"))
        return EmbeddedNetwork(folder).context(max_size=(1600, 1600))

    return opened


@st.composite
def fittings(draw: st.DrawFn) -> Preprocessing:
    kind, channels = draw(st.sampled_from(FITS)), draw(st.sampled_from([1, 3]))
    resize = draw(st.sampled_from([0, 24, 31])) if kind == "crop" else 0
    border = (7,) if kind in ("pad", "letterbox") else (0,)
    return Preprocessing(24, 20, channels, kind, resize, border)


CROP = Preprocessing(24, 20, 3)


@given(fittings(), st.integers(0, 1 << 32), st.sampled_from([9, 90, 300]))
@example(CROP, 3, 1500)
@example(CROP, 4, 1500)
@example(Preprocessing(24, 20, 3, "letterbox"), 5, 1500)
def test_every_frame_is_seen_as_the_picture_that_it_is(
    context: Prepare, fitting: Preprocessing, seed: int, largest: int
) -> None:
    rng = np.random.default_rng(seed)
    scene = random_scene(rng, largest)
    frame = scene.frame(rng)
    assert np.array_equal(context(fitting).prepare(frame), fitting(scene.picture(frame))), scene


@pytest.mark.parametrize("pixels", ["NV12", "I420", "YUYV", "UYVY"])
def test_bt601_in_limited_range_is_what_opencv_makes_of_it(pixels: str) -> None:
    rng = np.random.default_rng(0)
    scene = Scene(pixels, "BT601", True, 64, 48)
    frame = scene.frame(rng)
    assert np.array_equal(scene.picture(frame), by_opencv(pixels, frame.planes))


def test_the_other_factors_are_those_of_the_recommendations() -> None:
    """libjpeg's and OpenCV's have fewer digits, so of these the colours differ by a step here and there."""
    rng = np.random.default_rng(0)
    y, u, v = rng.integers(16, 236, (3, 64, 64), np.uint8)
    for known, limited, most in ((OPENCV_LIMITED, True, 1100), (LIBJPEG_FULL, False, 16)):
        exact = standard("BT601", limited)
        assert max(abs(a - b) for a, b in zip(known, exact, strict=True)) <= most
    for limited in (True, False):
        factors = np.array(standard("BT709", limited)) / (1 << 20)
        light = (y - (16.0 if limited else 0.0)) * factors[0]
        red = np.clip(light + factors[1] * (v - 128.0), 0, 255)
        assert np.abs(to_rgb(y, u, v, "BT709", limited)[..., 0] - red).max() <= 0.5 + 1e-3


NV12 = Scene("NV12", "BT709", True, 30, 40)


def changed(frame: EmbeddedFrame, **fields: object) -> EmbeddedFrame:
    return EmbeddedFrame(**{**vars(frame), **fields})


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"matrix": None}, "matrix is not set"),
        ({"range": None}, "range is not set"),
        ({"crop": (0, 0, 31, 0)}, "crop of 31 x 0 at row 0, column 0 is not inside the frame of 30 x 40"),
        ({"crop": (30, 0, 0, 0)}, "not inside"),
        ({"crop": (0, -1, 0, 0)}, "not inside"),
        ({"crop": (0, 1, 0, 40)}, "not inside"),
    ],
)
def test_a_frame_that_cannot_be_right_is_refused(
    context: Prepare, fields: dict[str, object], told: str
) -> None:
    frame = changed(NV12.frame(np.random.default_rng(0)), **fields)
    with pytest.raises(EmbeddedNetworkError, match=told) as refused:
        context(CROP).run_frame(frame)
    assert refused.value.status == 8


def test_a_frame_larger_than_its_context_is_refused(context: Prepare) -> None:
    frame = Scene("GRAY", "BT601", True, 1601, 10).frame(np.random.default_rng(0))
    with pytest.raises(
        EmbeddedNetworkError, match=r"the frame is 1601 x 10.*up to 1600 x 1600: see max_height"
    ):
        context(CROP).prepare(frame)


def test_arrays_that_the_library_could_not_know_to_be_wrong_are_refused() -> None:
    rng = np.random.default_rng(0)
    y, uv = NV12.frame(rng).planes
    wrong: tuple[tuple[Any, ...], ...] = ((y,), (y, uv[:-1]), (y[:, ::2], uv), (y.view(np.int8), uv))
    for planes in wrong:
        with pytest.raises(ValueError, match=r"planes|beside"):
            EmbeddedFrame("NV12", planes, "BT601", "FULL").described  # noqa: B018 - it raises
    with pytest.raises(ValueError, match="pixels is 'NV21'; allowed: RGB, BGR"):
        EmbeddedFrame("NV21", (y,)).described  # noqa: B018 - it raises


def test_a_list_of_planes_may_get_others_and_read_only_ones_are_taken(context: Prepare) -> None:
    """A tuple's are described once: its arrays may be filled again, and no others come into their place."""
    rng = np.random.default_rng(0)
    first, second = (NV12.frame(rng).planes for _ in range(2))
    planes = list(first)
    frame, again = (
        EmbeddedFrame("NV12", planes, "BT601", "FULL"),
        EmbeddedFrame("NV12", first, "BT601", "FULL"),
    )
    before = context(CROP).prepare(frame)
    assert np.array_equal(before, context(CROP).prepare(again))
    for n, plane in enumerate(second):
        plane.flags.writeable = False
        planes[n] = plane
    changed = context(CROP).prepare(frame)
    assert not np.array_equal(before, changed)
    for old, new in zip(first, second, strict=True):
        old[...] = new
    assert np.array_equal(changed, context(CROP).prepare(again))


def test_one_context_takes_small_and_large_frames_by_turns(context: Prepare) -> None:
    rng = np.random.default_rng(0)
    for size in ((1500, 1400), (3, 5), (700, 1500), (24, 20)):
        scene = Scene("I420", "BT601", False, *size)
        frame = scene.frame(rng)
        assert np.array_equal(context(CROP).prepare(frame), CROP(scene.picture(frame)))
