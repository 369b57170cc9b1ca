"""Preprocessing gives the same bytes everywhere; decoding accepts whole pictures only."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from targets.runtime.picture_damage import what_is_damaged
from targets.runtime.preprocess import VOID, ImageError, Preprocessing, decode

TURNED_AVIF = (
    b"AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAAD1bWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAA"
    b"AAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAEdAAAAOwAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEA"
    b"AGF2MDFDb2xvcgAAAAB0aXBycAAAAFRpcGNvAAAAFGlzcGUAAAAAAAAAGAAAABAAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwA"
    b"AAAAE2NvbHJuY2x4AAEADQAGgAAAAAlpcm90AwAAABhpcG1hAAAAAAAAAAEAAQUBAoMEhQAAAENtZGF0EgAKCRgQ7+0QENBoQDIs"
    b"HEeHhd3TTTTCwAAA1ZMpQdShz7TtSxOOSTpAQCEWibDC9NEh82H/Pjt6KNE="
)
"""24 x 16 pixels, written by Pillow 13, with the EXIF orientation "rotate by 90 degrees to the right"."""


def picture(height: int, width: int, channels: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def encoded(image: NDArray[np.uint8], suffix: str = ".jpg") -> bytes:
    done, data = cv2.imencode(suffix, np.ascontiguousarray(image[:, :, ::-1]))
    assert done
    return bytes(data)


sides = st.integers(1, 90)


@given(
    sides,
    sides,
    st.sampled_from([1, 3]),
    st.sampled_from([1, 3]),
    st.sampled_from(["pad", "letterbox", "crop", "stretch"]),
)
def test_every_picture_becomes_the_stated_shape(h: int, w: int, found: int, wanted: int, fit: str) -> None:
    result = Preprocessing(24, 20, wanted, fit, resize=26)(picture(h, w, found))
    assert result.shape == (24, 20, wanted)
    assert result.dtype == np.uint8


@given(st.integers(0, 255), sides, sides, st.sampled_from(["crop", "stretch"]))
def test_a_picture_of_one_colour_keeps_it(value: int, h: int, w: int, fit: str) -> None:
    image = np.full((h, w, 3), value, np.uint8)
    assert np.all(Preprocessing(16, 16, 3, fit, resize=16)(image) == value)


@given(sides, sides, st.sampled_from([1, 3]))
def test_cropping_leaves_a_picture_of_the_inputs_size_alone(h: int, w: int, channels: int) -> None:
    image = picture(h, w, channels)
    assert np.array_equal(Preprocessing(h, w, channels, "crop")(image), image)


@given(st.integers(24, 27), st.integers(20, 90))
def test_cropping_does_not_scale_a_picture_between_the_input_and_its_margin(h: int, w: int) -> None:
    """24 x 20 with the margin is 27 x 23: of a picture whose short side lies between, the middle is taken."""
    image = picture(h, w, 3)
    top, left = (h - 24) // 2, (w - 20) // 2
    expected = image[top : top + 24, left : left + 20]
    assert np.array_equal(Preprocessing(24, 20, 3, "crop")(image), expected)


@given(st.integers(32, 300), st.integers(32, 300))
def test_cropping_larger_pictures_is_as_networks_for_imagenet_have_it(h: int, w: int) -> None:
    """For a square input and pictures that are not between: the shorter side becomes 256/224 of the input."""
    image = picture(h, w, 1)
    assert np.array_equal(
        Preprocessing(28, 28, 1, "crop")(image), Preprocessing(28, 28, 1, "crop", 32)(image)
    )


@given(st.integers(1, 28), st.integers(1, 28))
def test_cropping_a_smaller_picture_enlarges_it_no_more_than_needed(h: int, w: int) -> None:
    image = picture(h, w, 1)
    assert np.array_equal(
        Preprocessing(28, 28, 1, "crop")(image), Preprocessing(28, 28, 1, "crop", 28)(image)
    )


def test_cropping_keeps_all_of_a_larger_picture_of_the_inputs_proportions_but_the_margin() -> None:
    image = np.zeros((256, 512, 3), np.uint8)
    image[16:-16, 32:-32] = 200
    assert np.all(Preprocessing(112, 224, 3, "crop")(image) == 200)


def test_padding_centres_and_changes_no_pixel() -> None:
    image = picture(28, 28, 1)
    result = Preprocessing(32, 32, 1, "pad")(image)
    assert np.array_equal(result[2:30, 2:30], image)
    assert result.sum(dtype=np.int64) == image.sum(dtype=np.int64)


def test_padding_shrinks_only_what_is_too_large() -> None:
    result = Preprocessing(32, 32, 3, "pad")(np.full((64, 32, 3), 9, np.uint8))
    assert (result == 9).sum() == 32 * 16 * 3
    assert np.all(result[:, 8:24] == 9)


@given(st.integers(1, 12), st.integers(1, 12))
def test_shrinking_by_whole_factors_is_the_rounded_mean(down: int, across: int) -> None:
    image = picture(8 * down, 8 * across, 3)
    means = image.reshape(8, down, 8, across, 3).astype(np.float64).mean(axis=(1, 3))
    assert np.array_equal(Preprocessing(8, 8, 3, "stretch")(image), np.floor(means + 0.5).astype(np.uint8))


def test_gray_and_colour_convert_into_each_other() -> None:
    gray = picture(8, 8, 1)
    colour = Preprocessing(8, 8, 3, "pad")(gray)
    assert np.array_equal(Preprocessing(8, 8, 1, "pad")(colour), gray)


def test_an_avif_that_is_to_be_turned_is_refused() -> None:
    """OpenCV gives it as it is stored; programs that show pictures, and Pillow, turn it."""
    turned = base64.b64decode(TURNED_AVIF)
    with pytest.raises(ImageError, match="the AVIF is to be turned or mirrored"):
        decode(turned, 3)
    assert what_is_damaged(turned.replace(b"irot\x03", b"irot\x00")) is None


def test_decoding_gives_rgb() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 255
    assert np.array_equal(decode(encoded(red, ".png"), 3), red)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff\xd9", b"not a picture at all"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode(data, 3)


@given(st.integers(2, 2000))
def test_a_truncated_jpeg_is_refused_wherever_it_is_cut(kept: int) -> None:
    whole = encoded(picture(40, 40, 3))
    with pytest.raises(ImageError):
        decode(whole[: min(kept, len(whole) - 2)], 3)


@given(st.integers(2, 2000))
def test_a_truncated_png_is_refused_wherever_it_is_cut(kept: int) -> None:
    whole = encoded(picture(20, 20, 3), ".png")
    with pytest.raises(ImageError):
        decode(whole[: min(kept, len(whole) - 13)], 3)


def test_a_jpeg_may_be_followed_by_anything() -> None:
    data = encoded(picture(40, 50, 3))
    assert np.array_equal(decode(data + b"a phone's film" * 1000, 3), decode(data, 3))


def test_the_end_of_a_thumbnail_within_a_jpeg_is_not_its_own() -> None:
    data, thumbnail = encoded(picture(40, 50, 3)), encoded(picture(4, 5, 3))
    whole = data[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + data[2:]
    assert np.array_equal(decode(whole, 3), decode(data, 3))
    with pytest.raises(ImageError, match="end marker"):
        decode(whole[:-100], 3)


@pytest.mark.parametrize("shape", [(1, 60_000, 3), (60_000, 1, 3)])
def test_a_long_thin_picture_takes_no_more_memory_than_its_middle(shape: tuple[int, int, int]) -> None:
    """Scaled as a whole it would be 256 x 15,360,000 pixels."""
    image = np.zeros(shape, np.uint8)
    image.reshape(-1, 3)[29_000:31_000] = 200
    assert np.all(Preprocessing(224, 224, 3, "crop", 256)(image) == 200)


def test_a_picture_that_claims_to_fill_the_memory_is_refused() -> None:
    bomb = bytearray(encoded(picture(8, 8, 3)))
    at = bomb.index(b"\xff\xc0") + 5  # start of frame: length, precision, then height and width
    bomb[at : at + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(ImageError):
        decode(bytes(bomb), 3)


def test_it_travels_as_plain_values() -> None:
    one = Preprocessing(224, 224, 3, "crop", 256)
    assert Preprocessing(**one.as_dict()) == one


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"fit": "zoom"}, "fit is 'zoom'"),
        ({"channels": 4}, "channels are 1 or 3"),
        ({"height": 0}, "channels are 1 or 3"),
        ({"fit": "crop", "resize": 8}, "smaller than the crop"),
    ],
)
def test_an_impossible_one_is_refused(wrong: dict[str, object], reason: str) -> None:
    fields: dict[str, object] = {"height": 16, "width": 16, "channels": 3, "fit": "pad", **wrong}
    with pytest.raises(ValueError, match=reason):
        Preprocessing(**fields)  # type: ignore[arg-type]  # wrong on purpose


@given(sides, sides, st.sampled_from(["pad", "letterbox", "crop", "stretch"]))
def test_a_mask_lies_where_its_picture_does(h: int, w: int, fit: str) -> None:
    """Left half 0, right half 200: where the picture is clearly one of both, the mask is the same one."""
    image = np.zeros((h, w, 1), np.uint8)
    image[:, w // 2 :] = 200
    preprocessing = Preprocessing(24, 20, 1, fit, resize=26)
    made, mask = preprocessing(image)[:, :, 0], preprocessing.mask(image[:, :, 0])
    assert mask.shape == (24, 20)
    assert set(np.unique(mask)) <= {0, 200, VOID}
    assert (mask[made == 200] == 200).all()
    assert (made[mask == VOID] == 0).all()
    assert (mask != VOID).all() or fit in ("pad", "letterbox")


def test_a_mask_is_never_blended() -> None:
    mask = np.random.default_rng(0).integers(0, 3, (61, 47), np.uint8) * 100
    assert set(np.unique(Preprocessing(24, 20, 3, "crop", 26).mask(mask))) == {0, 100, 200}
    same = Preprocessing(61, 47, 3, "stretch").mask(mask)
    np.testing.assert_array_equal(same, mask)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "settings", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]]
)
@pytest.mark.parametrize("side", [8, 33, 70])
@pytest.mark.parametrize("lacking", [2, 3, 10, 100, 2000])
def test_a_jpeg_that_lacks_data_in_front_of_its_end_is_refused(
    settings: list[int], channels: int, lacking: int, side: int
) -> None:
    """OpenCV decodes it, grey or coarse where data lacks. Of progressive ones the last scan is cut."""
    image = cv2.resize(picture(9, 9, 3), (side, side), interpolation=cv2.INTER_CUBIC)
    jpeg = cv2.imencode(".jpg", image, settings)[1].tobytes()
    scan = jpeg.rindex(b"\xff\xda")
    begin = scan + 2 + int.from_bytes(jpeg[scan + 2 : scan + 4], "big")
    whole = decode(jpeg, channels)
    cut = jpeg[: max(begin, len(jpeg) - 2 - lacking)].rstrip(b"\xff") + b"\xff\xd9"
    with pytest.raises(ImageError, match="the JPEG is damaged"):
        decode(cut, channels)
    assert np.array_equal(decode(jpeg[:-2] + bytes(lacking) + jpeg[-2:], channels), whole)


ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\7"
HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "bytes between segments": lambda jpeg: jpeg[:20] + b"abc" + jpeg[20:],
    "a later version of JFIF": lambda jpeg: jpeg[:11] + b"\2" + jpeg[12:],
    "an unknown number for its colours": lambda jpeg: jpeg[:2] + ADOBE + jpeg[20:],
    "another part of the coefficients": lambda jpeg: jpeg.replace(b"\x11\0\x3f\0", b"\x11\1\x20\x11"),
}
"""Each is libjpeg's first warning about a file, and the only one that it tells."""


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_damage_is_found_behind_what_does_no_harm(
    change: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    jpeg = cv2.imencode(".jpg", picture(40, 40, 3))[1].tobytes()
    changed = change(jpeg)
    assert changed != jpeg
    cv2.imdecode(np.frombuffer(changed, np.uint8), cv2.IMREAD_COLOR)
    assert capfd.readouterr().err
    np.testing.assert_array_equal(decode(changed, 3), decode(jpeg, 3))
    with pytest.raises(ImageError, match="the JPEG is damaged"):
        decode(changed[: len(changed) * 3 // 4] + b"\xff\xd9", 3)


def test_bytes_too_many_are_allowed_before_the_end_alone() -> None:
    jpeg = cv2.imencode(".jpg", picture(40, 40, 3), [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes()
    decode(jpeg[:-2] + bytes(9) + jpeg[-2:], 3)
    missing = jpeg.replace(b"\xff\xd2", b"", 1)
    with pytest.raises(ImageError, match="the JPEG is damaged"):
        decode(missing, 3)


def test_what_others_write_while_a_jpeg_is_decoded_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    from targets.runtime.picture_damage import listening

    with listening(b"\xff\xd8") as heard:
        os.write(2, b"a camera is gone\nCorrupt JPEG data: premature end of data segment\n")
        os.write(2, b"Corrupt JPEG data: 9 extraneous bytes before marker 0xd9\n")
    assert heard == ["Corrupt JPEG data: premature end of data segment"]
    told = capfd.readouterr().err.split("\n")
    assert [line for line in told if line] == [
        "a camera is gone",
        "Corrupt JPEG data: 9 extraneous bytes before marker 0xd9",
    ]


def test_a_jpeg_is_decoded_where_standard_error_is_closed() -> None:
    jpeg = encoded(picture(8, 8, 3))
    code = (
        "import os, sys; from targets.runtime.preprocess import decode; os.close(2);"
        f" print(decode(bytes.fromhex({jpeg.hex()!r}), 3).sum()); os.fstat(2)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout) == decode(jpeg, 3).sum()


@given(sides, sides, st.sampled_from([(0,), (114,), (9, 99, 199)]))
def test_a_letterbox_scales_until_a_picture_just_fits_and_puts_its_border_around(
    h: int, w: int, border: tuple[int, ...]
) -> None:
    """As YOLO's networks want it: both sides by one factor, the rest on both sides alike."""
    image = np.full((h, w, 3), 50, np.uint8)
    found = Preprocessing(48, 64, 3, "letterbox", border=border)(image)
    inside = (found == 50).all(2)
    rows, columns = inside.any(1), inside.any(0)
    factor = min(48 / h, 64 / w)
    assert rows.all() or columns.all()
    assert abs(rows.sum() - max(1, h * factor)) <= 0.5
    assert abs(columns.sum() - max(1, w * factor)) <= 0.5
    assert (found[~inside] == np.array(border)).all()
    assert abs(np.argmax(rows) - np.argmax(rows[::-1])) <= 1
    assert abs(np.argmax(columns) - np.argmax(columns[::-1])) <= 1


@pytest.mark.parametrize("border", [(300,), (1, 2), (-1,)])
def test_a_border_is_a_colour(border: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one number from 0 to 255, or one a channel"):
        Preprocessing(8, 8, 3, "pad", border=border)


def test_what_adds_no_border_has_none_and_all_is_read_back() -> None:
    with pytest.raises(ValueError, match="adds none; leave it out"):
        Preprocessing(8, 8, 3, "stretch", border=(114,))
    for one in (Preprocessing(8, 8, 3, "letterbox", border=(1, 2, 3)), Preprocessing(8, 8, 3)):
        fields = json.loads(json.dumps(one.as_dict()))
        assert Preprocessing(**fields) == one
    assert "border" not in Preprocessing(8, 8, 3).as_dict()
