"""The element edgecinfer in Debian's GStreamer: libedgec's logits in messages and metadata; its errors."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from targets.runtime.compiled_libedgec import LIBRARY
from targets.runtime.embedded_frame import PIXELS
from targets.runtime.embedded_network import EmbeddedFrame, EmbeddedNetwork
from targets.tvm.cpu_target import host_isa
from tests.targets.needs import or_skip
from tests.targets.runtime.libedgec.camera_scenes import Scene, frame_stream
from tests.targets.runtime.libedgec.tiny_networks import PackedNetwork, write_overflowing

HERE = Path(__file__).parent
COMPILER = shutil.which("gcc") or shutil.which("clang")


def has_gstreamer() -> bool:
    if not (COMPILER and shutil.which("pkg-config") and shutil.which("gst-launch-1.0")):
        return False
    asked = ["pkg-config", "--exists", "gstreamer-app-1.0", "gstreamer-video-1.0"]
    return subprocess.run(asked, check=False).returncode == 0


pytestmark = pytest.mark.skipif(
    not has_gstreamer(),
    reason="GStreamer is not installed, so edgecinfer is NOT TESTED: apt install gcc pkg-config"
    " gstreamer1.0-tools gstreamer1.0-plugins-base libgstreamer-plugins-base1.0-dev",
)


@dataclass(frozen=True)
class Plugin:
    """The element, compiled as its user compiles it."""

    bundle: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes GStreamer find it, and keep what it knows of plugins apart from the user's."""
        registry = str(self.folder.parent / "registry.bin")
        return {
            **os.environ,
            "GST_PLUGIN_PATH": str(self.folder),
            "GST_REGISTRY": registry,
            "LANG": "C.UTF-8",
        }

    def launch(self, *pipeline: str) -> subprocess.CompletedProcess[str]:
        """Run gst-launch-1.0 and print each message. After an error of any element, 1.22 may hang."""
        command = ["gst-launch-1.0", "-m", *pipeline]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )


@pytest.fixture(scope="module")
def plugin(board: Path, tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    folder = tmp_path_factory.mktemp("gstreamer") / "element"
    shutil.copytree(board / "adapters" / "gstreamer", folder)
    flags = "-O2 -Wall -Wextra -Werror"
    made = ["make", "-s", "-C", str(folder), f"BUNDLE={board}", f"CFLAGS={flags}"]
    subprocess.run(made, check=True, timeout=300)
    return Plugin(board, folder)


@pytest.fixture(scope="module")
def program(plugin: Plugin) -> Path:
    """A program that puts frames through a pipeline and compares message and metadata."""
    asked = ["pkg-config", "--cflags", "--libs", "gstreamer-app-1.0", "gstreamer-video-1.0"]
    flags = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    source, output = HERE / "frames_through.c", plugin.folder.parent / "frames_through"
    includes = [f"-I{LIBRARY}", f"-I{HERE.parent / 'libedgec'}"]
    command = [str(COMPILER), "-O1", "-Wall", "-Wextra", "-Werror", *includes, str(source), *flags]
    subprocess.run([*command, "-o", str(output)], check=True)
    return output


def through(
    plugin: Plugin, program: Path, frames: list[EmbeddedFrame], *properties: str, bundle: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [str(program), str(plugin.bundle) if bundle is None else bundle, " ".join(properties)]
    return subprocess.run(
        command,
        input=frame_stream(frames),
        env=plugin.environment,
        capture_output=True,
        check=False,
        timeout=120,
    )


def logits(bundle: Path, frames: list[EmbeddedFrame]) -> bytes:
    with EmbeddedNetwork(bundle) as network, network.context() as context:
        return b"".join(context.run_frame(frame).tobytes() for frame in frames)


def frames_of_all_kinds() -> list[EmbeddedFrame]:
    """Every kind of pixels, matrix and range, with strides and crops, each with caps of its own."""
    rng = np.random.default_rng(0)
    return [
        Scene(pixels, matrix, limited, height, width, 8, crop).frame(rng)
        for pixels in PIXELS
        for matrix in ("BT601", "BT709")
        for limited in (True, False)
        for height, width, crop in ((32, 46, (0, 0, 0, 0)), (70, 52, (4, 6, 61, 40)))
    ]


def test_frames_of_all_kinds_give_the_logits_of_the_library(plugin: Plugin, program: Path) -> None:
    frames = frames_of_all_kinds()
    done = through(plugin, program, frames, "threads=2")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == logits(plugin.bundle, frames)


def test_a_crop_is_of_what_upstream_cropped_to(plugin: Plugin, program: Path) -> None:
    rng = np.random.default_rng(1)
    upstream = Scene("BGR", "BT601", True, 60, 80, 4, (10, 20, 40, 50)).frame(rng)
    done = through(plugin, program, [upstream], "crop=3,5,30,0")
    assert done.returncode == 0, done.stderr.decode()
    both = EmbeddedFrame("BGR", upstream.planes, crop=(13, 25, 30, 45))
    assert done.stdout == logits(plugin.bundle, [both])


SOURCE = ("videotestsrc", "num-buffers=2", "!", "video/x-raw,format={},width=64,height=48{}", "!")


def pipeline(bundle: Path, pixels: str, caps: str, *properties: str) -> list[str]:
    source = [one.format(pixels, caps) for one in SOURCE]
    return [*source, "edgecinfer", f"bundle={bundle}", *properties, "!", "fakesink"]


@pytest.mark.parametrize(
    ("caps", "properties"),
    [(",colorimetry=bt709", ()), ("", ("matrix=bt601", "range=full"))],
    ids=["by the caps", "by properties"],
)
def test_gst_launch_prints_labels_and_probabilities(
    plugin: Plugin, caps: str, properties: tuple[str, ...]
) -> None:
    done = plugin.launch(*pipeline(plugin.bundle, "NV12", caps, "top=2", *properties))
    told = [line for line in done.stdout.splitlines() if "(element): edgec," in line]
    assert done.returncode == 0, done.stderr
    assert len(told) == 2
    assert all("labels=(string)<" in line and "probabilities=(float)<" in line for line in told)


def error_of(
    plugin: Plugin, program: Path, frame: EmbeddedFrame, *properties: str, bundle: str | None = None
) -> str:
    """Return what the element's error says."""
    done = through(plugin, program, [frame], *properties, bundle=bundle)
    assert (done.returncode, done.stdout) == (1, b"")
    return done.stderr.decode()


def test_yuv_without_a_colorimetry_is_refused_and_the_advice_helps(plugin: Plugin, program: Path) -> None:
    planes = np.zeros((48, 64), np.uint8), np.zeros((24, 32, 2), np.uint8)
    said = error_of(plugin, program, EmbeddedFrame("NV12", planes))
    assert "colorimetry=bt601" in said
    assert "properties matrix and range" in said
    advised = through(plugin, program, [EmbeddedFrame("NV12", planes)], "matrix=bt601", "range=limited")
    assert advised.returncode == 0, advised.stderr
    assert advised.stdout == logits(plugin.bundle, [EmbeddedFrame("NV12", planes, "BT601", "LIMITED")])


SMALL = EmbeddedFrame("RGB", (np.zeros((48, 64, 3), np.uint8),))


@pytest.mark.parametrize(
    ("bundle", "properties", "said"),
    [
        ("/nowhere", (), "/nowhere cannot be opened"),
        ("", (), "cannot be opened"),
        (None, ("sha256=" + "0" * 64,), "sha256"),
        (None, ("crop=40,0,40,0",), "crop"),
    ],
    ids=["no file", "an empty name", "another digest", "a crop outside"],
)
def test_what_cannot_run_is_an_error_with_the_library_s_sentence(
    plugin: Plugin, program: Path, bundle: str | None, properties: tuple[str, ...], said: str
) -> None:
    assert said in error_of(plugin, program, SMALL, *properties, bundle=bundle)


def test_a_frame_larger_than_the_library_takes_is_an_error(plugin: Plugin, program: Path) -> None:
    wide = EmbeddedFrame("GRAY", (np.zeros((2, 16388), np.uint8),))
    assert "16384" in error_of(plugin, program, wide)


def test_logits_that_are_not_numbers_are_an_error(plugin: Plugin, program: Path, tmp_path: Path) -> None:
    """No class follows from them; a dark picture has one."""
    engine = write_overflowing(tmp_path, or_skip(host_isa))
    bundle = str(PackedNetwork(engine).packed(tmp_path / "overflowing.edgec"))
    assert through(plugin, program, [SMALL], bundle=bundle).returncode == 0
    light = EmbeddedFrame("RGB", (np.full((48, 64, 3), 255, np.uint8),))
    assert "7 of 7 logits that are not numbers" in error_of(plugin, program, light, bundle=bundle)
