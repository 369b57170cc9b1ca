"""A picture's decoder takes at most the stated memory and time, for any declared size."""

import struct
import subprocess
import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from pipeline.data.masks import read_mask
from targets.runtime.device_limits import DECODER_BYTES, JPEG_SCANS, PICTURE_PARTS, PIXELS
from targets.runtime.picture_memory import BYTES_A_PIXEL
from targets.runtime.preprocess import ImageError, decode
from tests.conftest import ROOT
from tests.targets.runtime import bomb_pictures as bombs

MAKERS: dict[str, Callable[[int, int], bytes]] = {
    "an animated PNG": bombs.animated_png,
    "an animated WebP": bombs.animated_webp,
    "a GIF": bombs.gif,
    "a TIFF": bombs.tiff,
    "a Radiance HDR": bombs.hdr,
    "a JPEG 2000": bombs.jpeg_2000,
}


def test_each_format_has_a_bomb() -> None:
    assert MAKERS.keys() == BYTES_A_PIXEL.keys()


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_whose_decoder_takes_too_much_is_refused_before(kind: str, channels: int) -> None:
    """OpenCV's own limit, of 50 megapixels, lets all of them pass."""
    height = DECODER_BYTES // BYTES_A_PIXEL[kind] // 8192 + 1
    assert 8192 * height <= PIXELS
    said = f"{kind} of 8192 x {height} pixels, which takes too much memory"
    with pytest.raises(ImageError, match=said):
        decode(MAKERS[kind](8192, height), channels)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_has_its_size_in_either_order_and_either_length(order: str, big: bool) -> None:
    with pytest.raises(ImageError, match="a TIFF of 8192 x 6144 pixels"):
        decode(bombs.tiff(8192, 6144, order, big), 3)
    assert decode(bombs.tiff(30, 20, order, big), 3).shape == (20, 30, 3)


@pytest.mark.parametrize("suffix", [".tiff", ".gif", ".jp2", ".webp", ".png", ".bmp", ".ppm"])
def test_usual_ones_are_decoded(suffix: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    assert decode(cv2.imencode(suffix, image)[1].tobytes(), 3).shape == (40, 50, 3)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_header_that_is_cut_off_is_no_fault(kind: str) -> None:
    whole = MAKERS[kind](40, 30)
    for kept in range(0, min(len(whole) - 1, 200), 3):
        try:
            decode(whole[:kept], 3)
        except ImageError:
            continue


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("offset", [1 << 63, (1 << 64) - 1])
def test_an_offset_beyond_every_file_is_a_damaged_picture(order: str, offset: int) -> None:
    big_tiff = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HHHQ", 43, 8, 0, offset)
    with pytest.raises(ImageError):
        decode(big_tiff + bytes(64), 3)


def test_a_jpeg_of_too_many_scans_is_refused() -> None:
    """50,000 scans of nothing take minutes at 50 megapixels, in a file of half a megabyte."""
    assert decode(bombs.progressive_jpeg(0), 3).shape == (64, 64, 3)
    with pytest.raises(ImageError, match=f"more than {JPEG_SCANS} scans"):
        decode(bombs.progressive_jpeg(JPEG_SCANS), 3)


def test_a_picture_of_too_many_parts_is_refused() -> None:
    jpeg = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    with pytest.raises(ImageError, match=f"more than {PICTURE_PARTS} segments"):
        decode(jpeg[:2] + b"\xff\xfe\0\x02" * PICTURE_PARTS + jpeg[2:], 3)
    text = bombs.chunk(b"tEXt", b"x\0y") * PICTURE_PARTS
    with pytest.raises(ImageError, match=f"more than {PICTURE_PARTS} chunks"):
        decode(bombs.png(8, 8, text), 3)


@pytest.mark.parametrize("data", [bombs.png(8, 8)[:60], bombs.png(8, 8)[:-9] + bytes(9), b"", b"x"])
def test_a_damaged_mask_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"m is not|m: "):
        read_mask(data, "m")


def test_a_mask_that_claims_to_fill_the_memory_is_refused() -> None:
    """OpenCV raises an error of its own."""
    header = struct.pack(">IIBBBBB", 1 << 15, 1 << 15, 8, 0, 0, 0, 0)
    parts = bombs.chunk(b"IHDR", header), bombs.chunk(b"IDAT", b""), bombs.chunk(b"IEND", b"")
    with pytest.raises(ImageError):
        read_mask(b"\x89PNG\r\n\x1a\n" + b"".join(parts), "m")


PEAK = """
import resource, sys
from targets.runtime.preprocess import ImageError, decode
from tests.targets.runtime import bomb_pictures as bombs
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
pictures = [bombs.png(8192, 6144), bombs.tiff(8192, 3200), bombs.animated_png(3000, 3000)]
pictures.append(bombs.jpeg_2000(4096, 3600))
before = peak()
def height(one):
    try:
        return decode(one, 3).shape[0]
    except ImageError as error:  # after it was decoded
        return "black" if "16 bits" in str(error) else str(error)
print([height(one) for one in pictures], peak() - before)
"""


@pytest.mark.slow
def test_the_largest_that_are_decoded_take_no_more_than_stated() -> None:
    done = subprocess.run([sys.executable, "-c", PEAK], cwd=ROOT, capture_output=True, text=True, check=False)
    heights, _, grown = done.stdout.rpartition(" ")
    assert heights == "['black', 3200, 'black', 3600]", done.stderr
    assert int(grown) < DECODER_BYTES >> 20
