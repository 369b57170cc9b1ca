"""The static program reads a JPEG as OpenCV does, or refuses it: never another picture."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.targets.runtime.native.jpeg_files import JpegKind, adobe, jfif, jpeg, segment
from tests.targets.runtime.native.pixel_program import by_opencv, read
from tests.targets.runtime.native.png_files import exif

YCC = ((2, 2), (1, 1), (1, 1))
SAMPLINGS = {
    "gray": ((1, 1),),
    "gray, two": ((2, 2),),
    "4:4:4": ((1, 1),) * 3,
    "4:2:2": ((2, 1), (1, 1), (1, 1)),
    "4:4:0": ((1, 2), (1, 1), (1, 1)),
    "4:2:0": YCC,
    "4:1:1": ((4, 1), (1, 1), (1, 1)),
    "4:1:0": ((4, 2), (1, 1), (1, 1)),
    "colour finer": ((1, 1), (2, 2), (2, 1)),
    "four": ((1, 1),) * 4,
    "four, one finer": ((1, 1), (1, 1), (1, 1), (2, 2)),
}


def compare(program: Path, files: Sequence[bytes], folder: Path) -> None:
    for channels in (1, 3):
        found = read(program, channels, files, folder)
        assert found == [by_opencv(content, channels) for content in files]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_every_sampling_is_read_as_opencv_reads_it(
    program: Path, sampling: tuple[tuple[int, int], ...], progressive: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(len(sampling))
    kinds = [
        JpegKind(sampling, progressive=progressive),
        JpegKind(sampling, progressive=progressive, apart=True, restart=3, lowest=2, largest=1000),
        JpegKind(sampling, progressive=progressive, restart=1, lowest=1, largest=16000, wide_steps=True),
    ]
    sizes = [(1, 1), (7, 3), (16, 33), (41, 18)]
    compare(program, [jpeg(kind, *size, rng) for kind in kinds for size in sizes], tmp_path)


@given(st.data())
def test_what_opencv_writes_is_read_as_opencv_reads_it(
    program: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    height, width = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    noise = rng.integers(0, 256, (*rng.integers(1, 20, 2), 3), np.uint8)
    picture = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    options = {
        cv2.IMWRITE_JPEG_QUALITY: data.draw(st.integers(1, 100)),
        cv2.IMWRITE_JPEG_PROGRESSIVE: data.draw(st.integers(0, 1)),
        cv2.IMWRITE_JPEG_OPTIMIZE: data.draw(st.integers(0, 1)),
        cv2.IMWRITE_JPEG_RST_INTERVAL: data.draw(st.integers(0, 4)),
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: data.draw(
            st.sampled_from([0x411111, 0x221111, 0x211111, 0x121111, 0x111111])
        ),
    }
    flat = [one for option in options.items() for one in option]
    content = cv2.imencode(".jpg", picture, flat)[1].tobytes()
    compare(program, [content], tmp_path_factory.mktemp("written"))


def test_colours_mean_what_the_markers_say(program: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    three, four = ((1, 1),) * 3, ((1, 1),) * 4
    marked: list[tuple[bytes, ...]] = [(), *((adobe(one),) for one in range(4)), (jfif(), adobe(0))]
    kinds = [
        JpegKind(sampling, names, markers=markers)
        for sampling in (three, four)
        for names in (b"\1\2\3\4", b"RGBA")
        for markers in (*marked, (adobe(2)[:-2], adobe(1)), (segment(0xE0, b"JFIF\0"), adobe(0)))
    ]
    compare(program, [jpeg(kind, 9, 10, rng) for kind in kinds], tmp_path)


def test_pictures_are_turned_upright(program: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    begin = b"Exif\0\0"
    told: list[tuple[bytes, ...]] = [
        (segment(0xE1, begin + exif(one, big)),) for one in range(10) for big in (False, True)
    ]
    other = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    none, cut_off = segment(0xE1, begin + b"II*\0\10" + bytes(9)), segment(0xE1, begin + b"II*\0\377\0\0\0")
    lower, longer = segment(0xE1, b"exif\0\0" + exif(6)), segment(0xE1, b"Exif\0x" + exif(6))
    told += [(one, *told[12]) for one in (other, segment(0xE1, b""), none, cut_off, *told[2], *told[18])]
    told += [(one,) for one in (lower, longer)]
    files = [jpeg(JpegKind(YCC, markers=markers), 4, 7, rng) for markers in told]
    found = read(program, 3, files, tmp_path)
    assert found == [by_opencv(content, 3) for content in files]
    assert {line.partition(":")[0] for line in found} == {"4 x 7", "7 x 4"}


@pytest.mark.parametrize("seed", range(3))
def test_damaged_orientation_is_what_opencv_makes_of_it(program: Path, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    files = []
    for _ in range(60):
        tags = rng.choice([0x10E, 0x10F, 0x112, 0x11A, 0x13E, 0x13F, 0x211, 0x214, 0x8298, 0x8769, 7], 5)
        entries = b"".join(
            int(tag).to_bytes(2, "little")
            + int(rng.integers(1, 6)).to_bytes(2, "little")
            + int(rng.choice([1, 4, 5, 40, 1 << 31])).to_bytes(4, "little")
            + int(rng.choice([0, 1, 6, 8, 90, 1 << 20, (1 << 32) - 4])).to_bytes(4, "little")
            for tag in tags
        )
        tiff = b"II*\0\10\0\0\0\5\0" + entries + bytes(int(rng.integers(0, 40)))
        kept = int(rng.integers(20, len(tiff) + 1))
        marker = segment(0xE1, b"Exif\0\0" + tiff[:kept])
        files.append(jpeg(JpegKind(((1, 1),), markers=(marker,)), 2, 3, rng))
    found = read(program, 3, files, tmp_path)
    assert found == [by_opencv(content, 3) for content in files]
    assert len({line.partition(":")[0] for line in found}) == 2


def test_a_frame_of_a_camera_has_no_huffman_tables(program: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    content = cv2.imencode(".jpg", noise)[1].tobytes()
    begin = content.index(b"\xff\xc4")
    bare = content[:begin] + content[content.index(b"\xff\xda") :]
    assert bare.count(b"\xff\xc4") == 0
    compare(program, [bare], tmp_path)
    assert read(program, 3, [bare], tmp_path) == read(program, 3, [content], tmp_path)


def cut(content: bytes, name: bytes, to: bytes) -> bytes:
    """Return a file with other bytes in place of a segment."""
    at = content.index(name)
    return content[:at] + to + content[at + 2 + int.from_bytes(content[at + 2 : at + 4], "big") :]


def test_what_is_damaged_is_refused(program: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = jpeg(JpegKind(YCC, restart=2), 40, 40, rng)
    slow = jpeg(JpegKind(YCC, progressive=True, lowest=1), 40, 40, rng)
    last = slow.rindex(b"\xff\xda")
    files = {
        "half of it": whole[: len(whole) // 2],
        "no end": whole[:-2],
        "half of it, and an end": whole[: len(whole) * 3 // 4] + b"\xff\xd9",
        "a restart marker too few": whole.replace(b"\xff\xd1", b"", 1),
        "another restart marker": whole.replace(b"\xff\xd1", b"\xff\xd4", 1),
        "no steps": cut(whole, b"\xff\xdb", b""),
        "a step too few": cut(whole, b"\xff\xdb", segment(0xDB, bytes(64))),
        "no picture": whole[:2] + b"\xff\xd9",
        "two beginnings": cut(whole, b"\xff\xdd", b"\xff\xd8"),
        "no height": whole.replace(b"\x08\0\x28\0\x28", b"\x08\0\0\0\x28"),
        "12 bits": whole.replace(b"\x08\0\x28\0\x28", b"\x0c\0\x28\0\x28"),
        "arithmetic coding": whole.replace(b"\xff\xc1", b"\xff\xc9"),
        "an unknown marker": whole[:2] + b"\xff\x7f" + whole[2:],
        "a value of 16 bits for DC": cut(
            whole,
            b"\xff\xc4",
            segment(0xC4, b"\0" + bytes(15) + b"\1\x10") + segment(0xC4, b"\x10" + bytes(16)),
        ),
        "scans in a wrong order": slow[:last] + slow[last:-2] * 2 + slow[-2:],
        "no picture file": b"\xff\xd8",
    }
    told = read(program, 3, list(files.values()), tmp_path)
    for (what, content), line in zip(files.items(), told, strict=True):
        assert " x " not in line, what
        assert by_opencv(content, 3) is None, what


def test_a_picture_whose_details_are_missing_is_refused(program: Path, tmp_path: Path) -> None:
    slow = jpeg(JpegKind(YCC, progressive=True, lowest=1), 40, 40, np.random.default_rng(0))
    coarse = slow[: slow.rindex(b"\xff\xda")] + b"\xff\xd9"
    first = jpeg(JpegKind(YCC, apart=True), 40, 40, np.random.default_rng(0))
    gray = first[: first.rindex(b"\xff\xda")] + b"\xff\xd9"
    found = read(program, 3, [coarse, gray], tmp_path)
    assert found == ["the JPEG is not complete"] * 2


@pytest.mark.parametrize("seed", range(4))
def test_a_changed_file_is_the_same_picture_or_refused(program: Path, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    kinds = [JpegKind(YCC), JpegKind(YCC, progressive=True, lowest=1), JpegKind(((1, 1),) * 4, restart=1)]
    sound = [jpeg(kind, 17, 21, rng) for kind in kinds]
    files = []
    for number in range(60):
        changed = bytearray(sound[number % 3])
        for _ in range(rng.integers(1, 4)):
            changed[rng.integers(len(changed))] = rng.choice(
                [0, 1, 17, 127, 128, 255, int(rng.integers(256))]
            )
        files.append(bytes(changed))
    found = read(program, 3, files, tmp_path)
    read_by_both = 0
    for content, line in zip(files, found, strict=True):
        if " x " in line:
            assert line == by_opencv(content, 3)
            read_by_both += 1
    assert read_by_both


def sized(height: int, width: int, progressive: bool = False) -> bytes:
    """A file that declares a size, with the least of a scan."""
    whole = jpeg(JpegKind(((1, 1),) * 3, progressive=progressive), 8, 8, np.random.default_rng(0))
    at = whole.index(b"\xff\xc2" if progressive else b"\xff\xc1") + 5
    return whole[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + whole[at + 4 :]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (sized(16385, 1), "the picture's size is out of range"),
        (sized(65535, 65535), "the picture's size is out of range"),
        (sized(8192, 6145), "the picture's size is out of range"),
        (sized(8192, 6144, progressive=True), "the picture takes too much memory to decode"),
    ],
)
def test_a_picture_too_large_is_refused_before_memory_is_taken_for_it(
    program: Path, content: bytes, told: str, tmp_path: Path
) -> None:
    (tmp_path / "large.jpg").write_bytes(content)
    shell = f"ulimit -v 65536; exec {program} 3 {tmp_path / 'large.jpg'}"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == told + "\n"


def test_bytes_too_many_are_taken_where_nothing_can_be_lost(program: Path, tmp_path: Path) -> None:
    whole = jpeg(JpegKind(YCC, restart=2), 40, 40, np.random.default_rng(0))
    apart = jpeg(JpegKind(YCC, apart=True), 40, 40, np.random.default_rng(0))
    scan = apart.rindex(b"\xff\xda")
    between = whole.index(b"\xff\xc1")
    sound = [whole[:between] + b"abc" + whole[between:], whole[:-2] + b"abc" + whole[-2:], whole + b"abc"]
    compare(program, sound, tmp_path)
    assert len(set(read(program, 3, sound, tmp_path))) == 1
    lost = [whole.replace(b"\xff\xd1", b"abc\xff\xd1", 1), apart[:scan] + b"abc" + apart[scan:]]
    assert all(" x " not in line for line in read(program, 3, lost, tmp_path))
    assert [by_opencv(content, 3) for content in lost] == [None, None]
