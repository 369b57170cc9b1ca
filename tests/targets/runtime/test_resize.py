"""The compiled resize gives the bytes that NumPy and OpenCV give."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from targets.runtime import compiled_resize
from targets.runtime.c_library import MACHINES
from targets.runtime.compiled_resize import ResizeLibrary, compile_library, file_name
from targets.runtime.preprocess import Preprocessing
from targets.runtime.resize import Part, resized, resized_by_numpy

RUNTIME = Path(compiled_resize.__file__).parent
sides = st.one_of(st.integers(1, 40), st.integers(1, 700))


def pixels(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Noise beside black and white, whose averages are often halves."""
    noise = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, channels), np.uint8)
    noise[: height // 2] = np.where(noise[: height // 2] < 128, 0, 255)
    return noise


def test_there_is_a_library_where_the_tests_run() -> None:
    """Otherwise the other tests would compare NumPy with itself."""
    assert compiled_resize.library() is not None


@given(sides, sides, st.integers(1, 300), st.integers(1, 300), st.integers(1, 4), st.data())
def test_all_sizes_and_parts_have_the_same_bytes(
    height: int, width: int, to_height: int, to_width: int, channels: int, data: st.DataObject
) -> None:
    image = pixels(height, width, channels)
    top, left = (data.draw(st.integers(0, size - 1)) for size in (to_height, to_width))
    rows, columns = (data.draw(st.integers(1, n)) for n in (to_height - top, to_width - left))
    part = Part(top, left, rows, columns)
    expected = resized_by_numpy(image, to_height, to_width, part)
    assert np.array_equal(resized(image, to_height, to_width, part), expected)


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(250, 1200), st.integers(1, 100), st.integers(1, 3))
@example(1, 1100, 600, 1)
def test_averages_of_large_blocks_are_exact(channels: int, height: int, width: int, to: int) -> None:
    """Sums of more than 256 rows do not fit 16 bits, and large areas are divided by another formula."""
    for image in (pixels(height, width, channels), np.full((height, width, channels), 255, np.uint8)):
        for one in (image, np.ascontiguousarray(image.transpose(1, 0, 2))):
            whole = Part(0, 0, to, to)
            assert np.array_equal(resized(one, to, to, whole), resized_by_numpy(one, to, to, whole))


def test_sums_beyond_32_bits_are_exact() -> None:
    white = np.full((4200, 4200, 1), 255, np.uint8)
    for found in (resized(white, 1, 1, Part(0, 0, 1, 1)), resized_by_numpy(white, 1, 1, Part(0, 0, 1, 1))):
        assert found.ravel().tolist() == [255]


@pytest.mark.parametrize("view", ["rows", "columns", "mirrored", "upside down", "colours turned"])
def test_a_view_of_a_larger_picture_is_read_where_it_lies(view: str) -> None:
    image = pixels(90, 70, 3)
    seen = {
        "rows": image[10:80:2],
        "columns": image[:, 5:60],
        "mirrored": image[:, ::-1],
        "upside down": image[::-1],
        "colours turned": image[:, :, ::-1],
    }[view]
    expected = resized_by_numpy(np.ascontiguousarray(seen), 31, 17, Part(0, 0, 31, 17))
    assert np.array_equal(resized(seen, 31, 17, Part(0, 0, 31, 17)), expected)


@pytest.mark.parametrize("size", [(480, 640), (720, 1280), (1080, 1920)])
@pytest.mark.parametrize("fit", ["crop", "stretch", "letterbox"])
def test_camera_pictures_have_the_same_bytes_without_a_library(
    size: tuple[int, int], fit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, preprocessing = pixels(*size, 3), Preprocessing(224, 224, 3, fit)
    compiled = preprocessing(image)
    monkeypatch.setattr(compiled_resize, "library", lambda: None)
    assert np.array_equal(preprocessing(image), compiled)


def test_each_machine_has_its_library_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    for machine in MACHINES:
        twice = [tmp_path / f"{machine}-{n}" for n in range(2)]
        for path in twice:
            compile_library(machine, path)
        assert twice[0].read_bytes() == twice[1].read_bytes()
        assert len(twice[0].read_bytes()) < 32 << 10
    with pytest.raises(OSError, match=file_name(foreign())):
        ResizeLibrary((tmp_path / f"{foreign()}-0").rename(tmp_path / file_name(foreign())))


def foreign() -> str:
    return next(machine for machine in MACHINES if machine != platform.machine())


CODE = """
import sys; sys.path.insert(0, sys.argv[1])
from targets.runtime.compiled_resize import library
print(library() is not None)
"""


def test_it_is_compiled_once_and_not_where_nothing_can_be_written(tmp_path: Path) -> None:
    root = str(RUNTIME.parent.parent)
    blocked = tmp_path / "file"
    blocked.write_text("")
    for cache, found in ((tmp_path / "cache", "True"), (blocked, "False")):
        ran = subprocess.run(
            [sys.executable, "-c", CODE, root],
            env={
                "XDG_CACHE_HOME": str(cache),
                "ZIG_GLOBAL_CACHE_DIR": os.environ["ZIG_GLOBAL_CACHE_DIR"],
                "PATH": "/usr/bin:/bin",
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.strip() == found, ran.stderr
    assert len([path for path in (tmp_path / "cache" / "edgec").iterdir() if path.is_dir()]) == 1
