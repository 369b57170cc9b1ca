"""The static program fits a picture into the input as preprocess.py does, byte for byte."""

import ctypes
import platform
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from targets.runtime.preprocess import FITS, Preprocessing
from targets.runtime.zig import run_zig
from targets.tvm.glue import fitting_source
from targets.tvm.link import NATIVE

Fit = Callable[[Preprocessing, NDArray[np.uint8]], NDArray[np.uint8]]
TOLD = Preprocessing(8, 9, 3, "letterbox", border=(1, 2, 3))
sides = st.integers(1, 90)


class FitStruct(ctypes.Structure):
    """edgec_fitting of fit.h."""

    _fields_ = [
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("channels", ctypes.c_int64),
        ("fit", ctypes.c_int),
        ("resize", ctypes.c_int64),
        ("border", ctypes.c_uint8 * 4),
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("fit")
    (folder / "pictures.c").write_text(fitting_source(TOLD))
    options = ["-target", f"{platform.machine()}-linux-gnu.2.28", "-shared", "-fPIC", f"-I{NATIVE}"]
    options += ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-s", "-pthread", "-fno-sanitize=all"]
    sources = [folder / "pictures.c", NATIVE / "fit.c", NATIVE / "resize.c"]
    linked = run_zig(options, sources, folder / "library")
    assert linked.returncode == 0, linked.stderr
    return ctypes.CDLL(str(folder / "library"))


@pytest.fixture(scope="module")
def fit(library: ctypes.CDLL) -> Fit:
    def call(how: Preprocessing, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        border = how.border if len(how.border) > 1 else how.border * how.channels
        sizes = (how.height, how.width, how.channels, FITS.index(how.fit), how.resize)
        described = FitStruct(*sizes, (ctypes.c_uint8 * 4)(*border))
        made = np.empty((how.height, how.width, how.channels), np.uint8)
        pixels = np.ascontiguousarray(image)
        height, width = (ctypes.c_int64(side) for side in image.shape[:2])
        pointers = (ctypes.c_void_p(array.ctypes.data) for array in (pixels, made))
        picture, into = pointers
        assert library.edgec_fit(ctypes.byref(described), picture, height, width, into) == 0
        return made

    return call


@given(
    st.tuples(sides, sides),
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.sampled_from(FITS),
    st.sampled_from([1, 3]),
    st.integers(0, 30),
    st.lists(st.integers(0, 255), min_size=3, max_size=3),
)
@example((1, 90), (5, 5), "crop", 3, 0, [0, 0, 0])
@example((90, 1), (5, 50), "crop", 1, 0, [0, 0, 0])
@example((90, 2), (5, 50), "crop", 1, 3, [0, 0, 0])
def test_every_fit_of_every_size_has_the_same_bytes(
    fit: Fit,
    size: tuple[int, int],
    into: tuple[int, int],
    kind: str,
    channels: int,
    larger: int,
    border: list[int],
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, channels), np.uint8)
    resize = max(into) + larger if kind == "crop" and larger else 0
    around = tuple(border[:channels]) if kind in ("pad", "letterbox") else (0,)
    how = Preprocessing(*into, channels, kind, resize, around)
    assert np.array_equal(fit(how, image), how(image))


def test_the_numbers_of_fits_are_those_of_the_header() -> None:
    names = (NATIVE / "fit.h").read_text().partition("enum {")[2].partition("}")[0]
    assert [name.strip() for name in names.split(",")] == [f"FIT_{name.upper()}" for name in FITS]


def test_an_engine_is_told_how_to_fit(library: ctypes.CDLL) -> None:
    told = FitStruct.in_dll(library, "edgec_pictures")
    assert (told.height, told.width, told.channels, FITS[told.fit], told.resize) == (8, 9, 3, "letterbox", 0)
    assert list(told.border[:3]) == [1, 2, 3]
    assert "{7, 7, 7}" in fitting_source(Preprocessing(8, 9, 3, "pad", border=(7,)))
