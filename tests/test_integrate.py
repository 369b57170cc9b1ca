"""The programs in docs/integrate.md are compiled and run."""

import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from targets.runtime.compiled_libedgec import embedding
from targets.runtime.compiled_service import COMPILED_SERVICE, SERVICE
from targets.runtime.embedded_network import EmbeddedFrame, EmbeddedNetwork
from targets.runtime.preprocess import Preprocessing
from targets.runtime.zig import run_zig
from targets.tvm.cpu_target import host_isa
from targets.tvm.engine_file import write_engine
from targets.tvm.importer import import_graph
from tests.conftest import ROOT
from tests.integrate_page import program
from tests.targets.needs import or_skip
from tests.targets.runtime.libedgec.tiny_networks import PackedNetwork, write_network
from tests.targets.tvm.qdq_model import small_classifier

GRAY = np.full((720, 1280), 128, np.uint8)
CPP = shutil.which("g++") or shutil.which("clang++")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle's folder."""
    folder = tmp_path_factory.mktemp("bundle")
    PackedNetwork(write_network(folder, or_skip(host_isa))).unpacked(folder)
    for name, content in embedding(platform.machine()).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    shutil.copytree(
        ROOT / "targets" / "runtime", folder / "runtime", ignore=shutil.ignore_patterns("*.c", "*.h")
    )
    return folder


def answer(folder: Path, frame: EmbeddedFrame, top: int) -> list[str]:
    with EmbeddedNetwork(folder) as network, network.context() as context:
        return [name for name, _ in network.likeliest(context.run_frame(frame), top)]


def printed(command: list[str], folder: Path) -> list[str]:
    done = subprocess.run(
        [*command, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return [line.rpartition(" ")[0] for line in done.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here: the HTTP commands are NOT TESTED")
def test_the_http_commands_run(unpacked: Path, tmp_path: Path) -> None:
    (unpacked / "bin").mkdir(exist_ok=True)
    shutil.copy(COMPILED_SERVICE.folder(platform.machine()) / SERVICE, unpacked / "bin")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    commands = program("bash").replace("BUNDLE", str(unpacked)).replace("8765", str(port))
    photo = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))[1]
    (tmp_path / "photo.jpg").write_bytes(photo.tobytes())
    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    with EmbeddedNetwork(unpacked) as network, network.context() as context:
        of_photo = context.run_frame(network.decode(photo.tobytes())).tobytes()
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"model_name"')]
    assert np.array(answers[-1]["outputs"][0]["data"], np.float32).tobytes() == of_photo
    black = EmbeddedFrame("NV12", (GRAY * 0, np.zeros((360, 640, 2), np.uint8)), "BT709", "LIMITED")
    (answered,) = [
        line for line in done.stdout.splitlines() if '"outputs":[{"name":"logits","datatype":"BYTES"' in line
    ]
    (found,) = json.loads(answered)["outputs"]
    assert [one.split(":", 2)[2] for one in found["data"]] == answer(unpacked, black, 3)
    assert "edgec_images_total 2\n" in done.stdout


GSTREAMER = ["pkg-config", "--exists", "gstreamer-video-1.0"]


@pytest.mark.skipif(
    not (shutil.which("gst-launch-1.0") and shutil.which("pkg-config"))
    or subprocess.run(GSTREAMER, check=False).returncode != 0,
    reason="GStreamer is not installed, so its commands in docs/integrate.md are NOT TESTED",
)
def test_the_gstreamer_commands_run(unpacked: Path, tmp_path: Path) -> None:
    commands = program("sh").replace("BUNDLE", str(unpacked))
    environment = {**os.environ, "GST_REGISTRY": str(tmp_path / "registry")}
    done = subprocess.run(
        ["bash", "-e", "-c", commands], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(element): edgec,") == 30


def test_the_ros_2_commands_use_what_the_package_has(unpacked: Path) -> None:
    """ROS 2 is not here to run them."""
    package = unpacked / "adapters" / "ros2"
    commands = program("console").replace("BUNDLE", str(unpacked))
    assert package.as_posix() in commands
    cmake = (package / "CMakeLists.txt").read_text()
    node = (package / "src" / "classifier_node.cpp").read_text()
    described = (package / "package.xml").read_text()
    (name,) = re.findall(r"<name>(\w+)</name>", described)
    assert f"ros2 run {name} " in commands
    (executable,) = re.findall(rf"ros2 run {name} (\w+)", commands)
    assert f"EXECUTABLE {executable})" in cmake
    assert set(re.findall(r"ros2 lifecycle set /(\w+)", commands)) == {executable}
    assert f'LifecycleNode("{executable}"' in node
    for parameter in re.findall(r"-p (\w+):=", commands):
        assert f'declare("{parameter}", ' in node
    for option in re.findall(r"-D(\w+)=", commands):
        assert f"set({option} " in cmake
    depends = re.findall(r"<depend>([\w-]+)</depend>", described)
    assert set(re.findall(r"find_package\((rcl\w+|\w+_msgs)", cmake)) == set(depends) - {"libopencv-dev"}


def test_the_c_program_runs(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text(program("c"))
    sources = [tmp_path / "program.c", unpacked / "lib" / "libedgec.a"]
    linked = run_zig([f"-I{unpacked}/include", "-lm", "-Wall", "-Werror"], sources, tmp_path / "program")
    assert linked.returncode == 0, linked.stderr
    black = EmbeddedFrame("NV12", (GRAY * 0, np.zeros((360, 640, 2), np.uint8)), "BT601", "LIMITED")
    assert printed([str(tmp_path / "program")], unpacked) == answer(unpacked, black, 1)


@pytest.mark.skipif(CPP is None, reason="neither g++ nor clang++ is here: the C++ program is not compiled")
def test_the_cpp_program_runs(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "program.cpp").write_text(program("cpp"))
    options = ["-std=c++11", "-Wall", "-Werror", f"-I{unpacked}/include", f"{tmp_path}/program.cpp"]
    linked = [
        str(CPP),
        *options,
        f"{unpacked}/lib/libedgec.a",
        "-lm",
        "-pthread",
        "-o",
        f"{tmp_path}/program",
    ]
    subprocess.run(linked, check=True)
    black = EmbeddedFrame("BGR", (np.zeros((720, 1280, 3), np.uint8),))
    assert printed([str(tmp_path / "program")], unpacked) == answer(unpacked, black, 3)


def test_the_python_program_runs_with_the_bundle_s_library(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(program("python"))
    black = EmbeddedFrame("NV12", (GRAY * 0, np.full((360, 640, 2), 128, np.uint8)), "BT601", "LIMITED")
    found = printed([sys.executable, str(tmp_path / "program.py")], unpacked)
    assert found == answer(unpacked, black, 3)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[np.ndarray]]:
    """A video, and its pictures as OpenCV reads them."""
    path = tmp_path_factory.mktemp("video") / "some.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 48))
    assert writer.isOpened()
    rng = np.random.default_rng(0)
    for _ in range(6):
        small = rng.integers(0, 256, (3, 4, 3), np.uint8)
        writer.write(cv2.resize(small, (64, 48), interpolation=cv2.INTER_NEAREST))
    writer.release()
    capture = cv2.VideoCapture(str(path))
    pictures = []
    while (read := capture.read())[0]:
        pictures.append(np.asarray(read[1], np.uint8))
    assert len(pictures) == 6
    return path, pictures


@pytest.fixture(scope="module")
def undecided(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for a network whose probabilities are moderate, so that each picture has another one."""
    folder = tmp_path_factory.mktemp("undecided")
    graph = import_graph(small_classifier(folder / "small.onnx", 24))
    write_engine(graph, or_skip(host_isa), folder / "small.engine")
    bundle = shutil.copytree(unpacked, folder / "bundle")
    return PackedNetwork(folder / "small.engine", Preprocessing(24, 24, 3)).unpacked(bundle)


def check_video(command: list[str], folder: Path, path: Path, pictures: list[np.ndarray]) -> None:
    """Run a program on a video; each picture has to have its own class and probability."""
    done = subprocess.run(
        [*command, folder, path],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    told = [line.rpartition(" ") for line in done.stdout.splitlines()]
    with EmbeddedNetwork(folder) as network, network.context() as context:
        logits = [context.run_frame(EmbeddedFrame("BGR", (one,))) for one in pictures]
        ((names, probabilities),) = [
            list(zip(*(network.likeliest(one, 1)[0] for one in logits), strict=True))
        ]
    assert len(set(probabilities)) == len(pictures), "one answer to all would tell nothing"
    assert tuple(name for name, _, _ in told) == names
    assert [float(one) for _, _, one in told] == pytest.approx(probabilities, rel=1e-5)


def test_the_video_loop_in_python_runs(
    undecided: Path, video: tuple[Path, list[np.ndarray]], tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(program("py"))
    path, pictures = video
    command = [sys.executable, str(tmp_path / "program.py")]
    check_video(command, undecided, path, pictures)
    lost = subprocess.run(
        [*command, undecided, tmp_path / "none.avi"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(undecided)},
    )
    assert lost.returncode == 1
    assert lost.stderr.endswith("none.avi cannot be opened\n")


@pytest.mark.skipif(CPP is None, reason="neither g++ nor clang++ is here: the C++ video loop is not compiled")
@pytest.mark.parametrize("opencv", ["OpenCV", "a stand-in"])
def test_the_video_loop_in_cpp_runs(
    undecided: Path, video: tuple[Path, list[np.ndarray]], tmp_path: Path, opencv: str
) -> None:
    """The stand-in is a header with the names that the program uses; it reads raw frames."""
    path, pictures = video
    flags = [f"-I{ROOT / 'tests' / 'targets' / 'runtime' / 'libedgec' / 'opencv_stand_in'}"]
    if opencv == "OpenCV":
        asked = ["pkg-config", "--cflags", "--libs", "opencv4"]
        found = subprocess.run(asked, capture_output=True, text=True, check=False)
        if found.returncode:
            pytest.skip("the C++ video loop is NOT TESTED with OpenCV itself: apt install libopencv-dev")
        flags = found.stdout.split()
    else:
        path = tmp_path / "raw"
        path.write_bytes(b"".join([b"%d %d\n" % (64, 48), *(one.tobytes() for one in pictures)]))
    (tmp_path / "program.cpp").write_text(program("c++"))
    source, target = f"{tmp_path}/program.cpp", f"{tmp_path}/program"
    options = [
        "-std=c++17",
        "-Wall",
        "-Werror",
        f"-I{undecided}/include",
        source,
        f"{undecided}/lib/libedgec.a",
    ]
    subprocess.run([str(CPP), *options, *flags, "-lm", "-pthread", "-o", target], check=True)
    check_video([target], undecided, path, pictures)
    lost = subprocess.run([target, undecided, "/none.avi"], capture_output=True, text=True, check=False)
    assert (lost.returncode, lost.stderr.splitlines()[-1]) == (1, "/none.avi cannot be opened")
