"""edgec_ros2 without ROS 2: messages made of the published .msg files, its node on a stand-in of rclcpp."""

import platform
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from targets.runtime.compiled_libedgec import ADAPTERS, ARCHIVE, COMPILED, LIBRARY
from targets.runtime.embedded_network import EmbeddedFrame, EmbeddedNetwork
from targets.runtime.preprocess import decode
from tests.conftest import made_once
from tests.targets.runtime.adapters.ros2.message_headers import write_headers
from tests.targets.runtime.libedgec.tiny_networks import CLASSES
from tests.targets.runtime.native.jpeg_files import segment
from tests.targets.runtime.native.png_files import exif

HERE = Path(__file__).parent
PACKAGE = ADAPTERS / "ros2"
CPP = shutil.which("g++") or shutil.which("clang++")
pytestmark = pytest.mark.skipif(
    CPP is None, reason="neither g++ nor clang++ is here: edgec_ros2 is NOT TESTED"
)
STRICT = ("-std=c++17", "-g", "-O0", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
FORMS = {
    "rgb8": ("RGB", 3),
    "bgr8": ("BGR", 3),
    "rgba8": ("RGBA", 4),
    "bgra8": ("BGRA", 4),
    "mono8": ("GRAY", 1),
    "8UC1": ("GRAY", 1),
    "nv12": ("NV12", 1),
    "yuyv": ("YUYV", 2),
    "yuv422_yuy2": ("YUYV", 2),
    "uyvy": ("UYVY", 2),
    "yuv422": ("UYVY", 2),
}


@dataclass(frozen=True)
class Message:
    """A sensor_msgs/Image, and the parameters of the node that gets it."""

    encoding: str
    height: int
    width: int
    step: int
    data: bytes
    matrix: str = "-"
    range: str = "-"
    roi: tuple[int, ...] = ()
    top: int = 3
    threshold: float = 0

    def line(self) -> bytes:
        """As classify_messages.cpp reads it."""
        settings = f"{self.matrix} {self.range} {self.top} {self.threshold} {' '.join(map(str, self.roi))}"
        form = f"{self.height} {self.width} {self.step} {self.encoding} {len(self.data)}"
        return f"image {settings} | camera 7 {form}\n".encode() + self.data

    def frame(self) -> EmbeddedFrame:
        """As Python's binding gets it, by NumPy."""
        pixels, samples = FORMS[self.encoding]
        rows = np.frombuffer(self.data, np.uint8).reshape(-1, self.step)
        first = rows[: self.height, : self.width * samples]
        planes: tuple[np.ndarray, ...] = (first.reshape(self.height, self.width, samples),)
        if samples == 1:
            planes = (first,)
        if pixels == "NV12":
            pairs = (self.width + 1) // 2
            planes = (first, rows[self.height :, : 2 * pairs].reshape(-1, pairs, 2))
        known = self.matrix != "-"
        crop = self.roi or (0, 0, 0, 0)
        return EmbeddedFrame(
            pixels,
            tuple(np.ascontiguousarray(one) for one in planes),
            self.matrix.upper() if known else None,
            self.range.upper() if known else None,
            (crop[0], crop[1], crop[2], crop[3]),
        )


def messages_of_all_kinds() -> list[Message]:
    """Every encoding, of YUV in every meaning, with gaps between rows, odd sizes and regions."""
    rng = np.random.default_rng(0)
    found = []
    for encoding, (pixels, samples) in FORMS.items():
        is_yuv = pixels in ("NV12", "YUYV", "UYVY")
        meanings = (
            [(m, r) for m in ("bt601", "bt709") for r in ("limited", "full")] if is_yuv else [("-", "-")]
        )
        for matrix, limits in meanings:
            for height, width, gap, roi in (
                (24, 20, 0, ()),
                (31, 46, 6, ()),
                (70, 52, 3, (4, 6, 61, 40)),
                (33, 41, 1, (2, 2, 0, 0)),
            ):
                even = width + width % 2 * (samples == 2)
                step = (even + even % 2 if is_yuv else even) * samples + gap
                rows = height + (height + 1) // 2 * (pixels == "NV12")
                data = rng.integers(0, 256, rows * step, np.uint8).tobytes()
                found.append(Message(encoding, height, even, step, data, matrix, limits, roi))
    return found


def compiled(folder: Path, name: str, *options: str) -> Path:
    """Compile a program of this folder with the package's sources."""
    write_headers(folder)
    sources = [PACKAGE / "src" / "classifier.cpp", PACKAGE / "src" / "compressed.cpp"]
    archive = COMPILED.folder(platform.machine()) / ARCHIVE
    includes = [f"-I{one}" for one in (folder, PACKAGE / "include", PACKAGE / "src", LIBRARY)]
    command = [str(CPP), *STRICT, *options, *includes, str(HERE / f"{name}.cpp"), *map(str, sources)]
    subprocess.run([*command, str(archive), "-lm", "-pthread", "-o", str(folder / name)], check=True)
    return folder / name


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What it reads beside a message's data ends it with a report."""

    def write(folder: Path) -> None:
        folder.mkdir()
        compiled(folder, "classify_messages", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

    return made_once(tmp_path_factory, "ros2 messages", write) / "classify_messages"


def told(program: Path, bundle: Path, lines: list[bytes]) -> list[list[str]]:
    done = subprocess.run(
        [program, bundle], input=b"".join(lines), capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    answers = [line.split(" ", 1) for line in done.stdout.decode().splitlines()]
    assert len(answers) == len(lines)
    return answers


def refusal(program: Path, bundle: Path, message: Message) -> str:
    ((state, text),) = told(program, bundle, [message.line()])
    assert state == "no", text
    return text


def test_messages_of_all_kinds_give_the_logits_of_the_library(program: Path, board: Path) -> None:
    messages = messages_of_all_kinds()
    answers = told(program, board, [one.line() for one in messages])
    with EmbeddedNetwork(board) as network, network.context() as context:
        for message, (state, text) in zip(messages, answers, strict=True):
            assert state == "ok", (message.encoding, text)
            frame_id, stamp, logits, *results = text.split(" ")
            wanted = context.run_frame(message.frame())
            assert (frame_id, stamp) == ("camera", "7")
            assert bytes.fromhex(logits) == wanted.tobytes(), message.encoding
            found = [(bytes.fromhex(one.split(":")[0]).decode(), float(one.split(":")[1])) for one in results]
            likeliest = network.likeliest(wanted, 3)
            assert [name for name, _ in found] == [name for name, _ in likeliest]
            assert [score for _, score in found] == pytest.approx([p for _, p in likeliest], rel=1e-6)


SOME = Message("rgb8", 24, 20, 60, bytes(range(256)) * 5 + bytes(160))


def test_top_k_and_threshold_choose_the_results(program: Path, board: Path) -> None:
    answers = told(
        program, board, [replace(SOME, top=100).line(), replace(SOME, top=100, threshold=1).line()]
    )
    every, none = ([one.split(":") for one in text.split(" ")[3:]] for _, text in answers)
    assert len(every) == len(CLASSES)
    assert sum(float(score) for _, score in every) == pytest.approx(1, abs=1e-5)
    assert none == [one for one in every if float(one[1]) >= 1]
    least = float(every[1][1])
    ((_, text),) = told(program, board, [replace(SOME, top=100, threshold=least * 0.999).line()])
    assert len(text.split(" ")[3:]) == sum(float(score) >= least * 0.999 for _, score in every)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoding": "mono16"}, "'mono16' is not taken; these are: rgb8"),
        ({"encoding": "8UC3"}, "'8UC3' is not taken"),
        ({"encoding": "nv21"}, "'nv21' is not taken"),
        ({"step": 59}, "a row of 20 pixels of rgb8 takes 60"),
        ({"data": SOME.data[:-1]}, "1439 bytes; its height and step make 1440"),
        ({"height": 0}, "0 x 20"),
        ({"width": 4294967295, "step": 4294967295}, "each side is 1 to 16384"),
        ({"height": 16384, "step": 4294967295}, "make 70368744161280"),
        ({"encoding": "yuyv"}, "yuyv needs the parameters matrix (bt601, bt709) and range"),
        ({"encoding": "yuyv", "matrix": "bt601"}, "yuyv needs the parameters matrix"),
        ({"encoding": "nv12", "matrix": "bt601", "range": "full"}, "height and step make 2160"),
        ({"matrix": "bt2020"}, "matrix is 'bt2020'; it is bt601, bt709, or empty"),
        ({"roi": (0, 0, 25, 0)}, "the crop of 25 x 0 at row 0, column 0 is not inside the frame of 24 x 20"),
        ({"roi": (0, 0, 1)}, "roi is four numbers"),
        ({"roi": (0, 0, -1, 0)}, "roi is four numbers"),
        ({"top": 0}, "top_k is 1 or more"),
        ({"threshold": 1.5}, "threshold is a probability from 0 to 1"),
    ],
    ids=str,
)
def test_impossible_answers_are_refused(
    program: Path, board: Path, changes: dict[str, object], said: str
) -> None:
    assert said in refusal(program, board, Message(**{**vars(SOME), **changes}))


def test_images_larger_than_full_hd_get_their_room(program: Path, board: Path) -> None:
    large = Message("mono8", 1100, 2000, 2000, bytes(1100 * 2000))
    ((_, text),) = told(program, board, [large.line()])
    with EmbeddedNetwork(board) as network, network.context() as context:
        assert bytes.fromhex(text.split(" ")[2]) == context.run_frame(large.frame()).tobytes()


PICTURE = np.random.default_rng(1).integers(0, 256, (31, 46, 3), np.uint8)


def encoded(suffix: str) -> bytes:
    return cv2.imencode(suffix, PICTURE)[1].tobytes()


@pytest.mark.parametrize(
    ("data", "format_", "said"),
    [
        (encoded(".jpg")[:-9], "jpeg", "the JPEG is "),
        (encoded(".png")[:-9], "png", "the PNG file is cut off"),
        (encoded(".png"), "16UC1; compressedDepth png", "compressedDepth has distances"),
        (b"", "jpeg", "'jpeg' is neither JPEG nor PNG"),
        (encoded(".bmp"), "jpeg", "neither JPEG nor PNG"),
    ],
)
def test_what_is_no_whole_picture_is_refused(
    program: Path, board: Path, data: bytes, format_: str, said: str
) -> None:
    ((state, text),) = told(program, board, [compressed(data, format_)])
    assert state == "no"
    assert said in text


def compressed(data: bytes, format_: str) -> bytes:
    return f"compressed - - 1 0 | camera 7 {len(data)} {format_}\n".encode() + data


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_compressed_images_are_the_pictures_that_calibration_saw(
    program: Path, board: Path, suffix: str
) -> None:
    turned = encoded(suffix)
    if suffix == ".jpg":
        turned = turned[:2] + segment(0xE1, b"Exif\0\0" + exif(6)) + turned[2:]
    answers = told(program, board, [compressed(one, "rgb8; compressed") for one in (encoded(suffix), turned)])
    with EmbeddedNetwork(board) as network, network.context() as context:
        for data, (state, text) in zip((encoded(suffix), turned), answers, strict=True):
            assert state == "ok", text
            wanted = context.run_frame(EmbeddedFrame("RGB", (decode(data, 3),)))
            assert bytes.fromhex(text.split(" ")[2]) == wanted.tobytes()


def test_the_node_goes_through_its_states(board: Path, tmp_path: Path) -> None:
    program = compiled(tmp_path, "live_node", f"-I{HERE / 'rclcpp_stand_in'}")
    done = subprocess.run([program, board], capture_output=True, text=True, check=True, timeout=60)
    read = "is read when the node is configured: deactivate and clean it up first"
    assert done.stdout.splitlines() == [
        "configure: failure",
        "set bundle: done",
        "configure: success",
        "image not subscribed, 0 published",
        "activate: success",
        "image taken, 1 published",
        "image taken, 1 published",
        "image taken, 2 published",
        f"set top_k: top_k {read}",
        "deactivate: success",
        "image not subscribed, 2 published",
        "cleanup: success",
        "set top_k: done",
        "set transport: done",
        "configure: success",
        "activate: success",
        "image/compressed taken, 0 published",
        "shutdown: success",
        "image not subscribed, 0 published",
    ]
    first, second, third = done.stderr.splitlines()
    assert first.startswith("the parameter bundle is empty")
    assert "'mono16' is not taken" in second
    assert "neither JPEG nor PNG" in third
