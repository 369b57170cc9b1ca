"""Pictures whose numbers OpenCV does not take as the file means them."""

import struct

import cv2
import numpy as np
import pytest

from targets.runtime.preprocess import ImageError, decode

PIXELS = np.array([[[250, 10, 60], [1, 2, 3]], [[9, 200, 7], [40, 80, 120]]], np.uint8)


def pnm(kind: int, largest: int) -> bytes:
    """Two pixels, white and black, as netpbm's formats have them."""
    numbers = [largest] * (3 if kind in (3, 6) else 1) + [0] * (3 if kind in (3, 6) else 1)
    body = b" ".join(b"%d" % one for one in numbers) + b"\n"
    if kind > 3:
        body = np.array(numbers, ">u2" if largest > 255 else "u1").tobytes()
    return b"P%d # made by hand\n2 1\n%d\n" % (kind, largest) + body


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("largest", [1, 100, 255, 1023, 4095, 65535])
@pytest.mark.parametrize("kind", [2, 3, 5, 6])
def test_white_is_white_or_the_picture_is_refused(kind: int, largest: int, channels: int) -> None:
    as_opencv_means_it = largest in (255, 65535) or (kind < 4 and largest < 255)
    if as_opencv_means_it:
        white, black = [255] * channels, [0] * channels
        assert decode(pnm(kind, largest), channels).tolist() == [[white, black]]
    else:
        with pytest.raises(ImageError, match=f"its largest number is {largest}.*save it as PNG"):
            decode(pnm(kind, largest), channels)


@pytest.mark.parametrize(
    "header",
    [b"P5\n2 1\n20#", b"P5\n2 1x20\n", b"P5\n#" + bytes(1 << 16) + b"\n2 1\n20\n"],
    ids=["end", "letter", "length"],
)
def test_a_header_that_opencv_may_read_otherwise_is_refused(header: bytes) -> None:
    """Else a picture of numbers up to 20 would be nearly black."""
    with pytest.raises(ImageError, match=r"its header is not that of a PNM.*save it as PNG"):
        decode(header + b"\x14\0", 1)


@pytest.mark.parametrize("header", [b"P5\n2 1\n#\r20\n", b"P5\r2 1 000000020\n"], ids=["comment", "zeros"])
def test_the_largest_number_is_found_in_every_header(header: bytes) -> None:
    assert decode(header.replace(b"20", b"255") + b"\xff\0", 1).tolist() == [[[255], [0]]]
    with pytest.raises(ImageError, match="its largest number is 20,"):
        decode(header + b"\x14\0", 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("largest", "refused"), [(0, True), (255, True), (4095, True), (5000, False)])
@pytest.mark.parametrize("kind", [".png", ".tiff", ".ppm"])
def test_numbers_of_16_bits_that_hold_fewer_are_refused(
    kind: str, largest: int, refused: bool, channels: int
) -> None:
    """Otherwise they would be read as nearly black, without an error."""
    numbers = np.linspace(0, largest, 7 * 5 * 3).astype(np.uint16).reshape(7, 5, 3)
    encoded = cv2.imencode(kind, numbers)[1].tobytes()
    if refused:
        with pytest.raises(ImageError, match=r"numbers of 16 bits .* scale them so that white is 65535"):
            decode(encoded, channels)
        scaled = (numbers.astype(np.uint32) * 65535 // max(1, largest)).astype(np.uint16)
        scaled[-1, -1] = 65535
        assert decode(cv2.imencode(kind, scaled)[1].tobytes(), channels).max() == 255
    else:
        assert decode(encoded, channels).max() > 16


@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_a_dark_picture_of_8_bits_is_a_picture(kind: str) -> None:
    assert decode(cv2.imencode(kind, PIXELS // 20)[1].tobytes(), 3).max() == 12


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_in_lab_colours_is_refused(order: str) -> None:
    file = tiff(order, 0, np.concatenate([PIXELS, PIXELS[:, :, :1]], axis=2))
    rgb, lab = (struct.pack(order + "HHIHH", 262, 3, 1, value, 0) for value in (2, 8))
    assert rgb in file
    with pytest.raises(ImageError, match=r"Lab colours, .* save it in RGB"):
        decode(file.replace(rgb, lab), 3)


def tiff(order: str, extra: int, pixels: np.ndarray) -> bytes:
    """8 bits of red, green, blue and one more number a pixel."""
    height, width, samples = pixels.shape
    fields = {256: width, 257: height, 258: 0, 259: 1, 262: 2, 273: 8, 277: samples, 278: height}
    fields |= {279: pixels.size, 338: extra}
    at = 8 + pixels.size
    bits_at = at + 2 + 12 * len(fields) + 4
    file = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", at) + pixels.tobytes()
    file += struct.pack(order + "H", len(fields))
    for tag, value in fields.items():
        if tag == 258:
            file += struct.pack(order + "HHII", tag, 3, samples, bits_at)
        else:
            file += struct.pack(order + "HHIHH", tag, 3, 1, value, 0)
    return file + bytes(4) + struct.pack(order + f"{samples}H", *[8] * samples)


@pytest.mark.parametrize("extra", [0, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_colours_of_a_transparent_tiff_are_those_stored_as_in_a_png(order: str, extra: int) -> None:
    opacity = np.array([[[0], [255]], [[128], [7]]], np.uint8)
    with_opacity = np.concatenate([PIXELS, opacity], axis=2)
    _, png = cv2.imencode(".png", with_opacity[:, :, [2, 1, 0, 3]])
    assert decode(png.tobytes(), 3).tolist() == PIXELS.tolist()
    assert decode(tiff(order, extra, with_opacity), 3).tolist() == PIXELS.tolist()


@pytest.mark.parametrize("cut", [5, 9, 40, 90])
def test_a_tiff_that_is_cut_off_is_refused(cut: int) -> None:
    whole = tiff("<", 2, np.zeros((2, 2, 4), np.uint8))
    with pytest.raises(ImageError):
        decode(whole[:cut], 3)


@pytest.mark.parametrize(
    ("encoded", "kind"),
    [
        (b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n123", "PAM"),
        (b"PF\n1 1\n-1.0\n" + bytes(12), "PFM"),
        (b"P3\n1 1\n255\n1 2 3", "line break at its end"),
        (b"\0\0\1\0\1\0" + bytes(40), "ICO"),
        (b"8BPS\0\1" + bytes(40), "PSD"),
        (b"qoif" + bytes(40), "QOI"),
        (tiff("<", 0, np.zeros((1, 1, 5), np.uint8)), "TIFF"),
    ],
)
def test_other_kinds_are_named_with_a_way_out(encoded: bytes, kind: str) -> None:
    with pytest.raises(ImageError, match=f"{kind}.*(save|convert) it (as|to) PNG"):
        decode(encoded, 3)
