"""The static program in the engine file: what a board runs that has nothing installed."""

import json
import os
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper

from targets.runtime.native_runner import FOOTER, open_engine, read_engine
from targets.runtime.preprocess import Preprocessing
from targets.tvm import oracle
from targets.tvm.cpu_target import host_isa
from targets.tvm.engine_file import write_engine
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import IntegerGraph
from tests.targets.needs import or_skip
from tests.targets.tvm.qdq_model import QdqModel, small_classifier

SIDE = 24


@dataclass(frozen=True)
class Built:
    path: Path
    graph: IntegerGraph

    def run(self, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([self.path, *arguments], input=data, capture_output=True, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    isa = or_skip(host_isa)
    folder = tmp_path_factory.mktemp("program")
    graph = import_graph(small_classifier(folder / "model.onnx", SIDE))
    write_engine(graph, isa, folder / "engine")
    return Built(folder / "engine", graph)


def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def decoded(path: Path) -> NDArray[np.uint8]:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def test_selftest_passes_on_the_machine_it_was_built_for(built: Built) -> None:
    result = built.run("selftest", "--threads", "2")
    assert result.returncode == 0
    assert b"pass: 3 images, all 7 logits bit for bit" in result.stdout


def test_selftest_reports_the_first_bit_that_differs(built: Built, tmp_path: Path) -> None:
    content = bytearray(built.path.read_bytes())
    golden = FOOTER.unpack(content[-FOOTER.size :])[5]
    content[golden + SIDE * SIDE * 3] ^= 1  # the lowest bit of the first logit
    damaged = tmp_path / "engine"
    damaged.write_bytes(content)
    damaged.chmod(0o755)
    result = Built(damaged, built.graph).run("selftest")
    assert result.returncode == 1
    assert result.stdout.startswith(b"FAIL: image 0, logit 0 is ")


def test_it_needs_no_loader_and_no_library(built: Built) -> None:
    header = built.path.read_bytes()[:4096]
    offset, size, count = (*struct.unpack_from("<Q", header, 32), *struct.unpack_from("<HH", header, 54))
    kinds = {struct.unpack_from("<I", header, offset + i * size)[0] for i in range(count)}
    assert 3 not in kinds  # PT_INTERP


def test_logits_from_a_pipe_are_those_of_the_oracle(built: Built) -> None:
    images = np.stack([picture(), 255 - picture()])
    result = built.run("logits", data=images.tobytes())
    assert result.stdout == oracle.run(built.graph, images).tobytes()


def test_half_an_image_is_an_error(built: Built) -> None:
    result = built.run("logits", data=bytes(100))
    assert (result.returncode, result.stderr) == (1, b"the last image on stdin is cut off\n")


def test_bench_prints_json(built: Built) -> None:
    figures = json.loads(built.run("bench", "--runs", "20").stdout)
    assert figures["runs"] == 20
    assert 0 < figures["min_ms"] <= figures["p50_ms"] <= figures["p99_ms"]


@pytest.mark.parametrize(
    "arguments", [(), ("dance",), ("classify",), ("bench", "--runs", "0"), ("bench", "--runs", "x")]
)
def test_wrong_use_is_explained(built: Built, arguments: tuple[str, ...]) -> None:
    result = built.run(*arguments)
    assert result.returncode == 2
    assert result.stderr


@pytest.mark.parametrize("kind", ["rgb", "alpha", "gray", "stored"])
def test_pictures_are_read_as_opencv_reads_them(built: Built, kind: str, tmp_path: Path) -> None:
    pixels = picture() // 8 * 8
    written = {"alpha": cv2.cvtColor(pixels, cv2.COLOR_BGR2BGRA), "gray": pixels[:, :, 0]}.get(kind, pixels)
    level = 0 if kind == "stored" else 9
    cv2.imwrite(str(tmp_path / "picture.png"), written, [cv2.IMWRITE_PNG_COMPRESSION, level])
    read = decoded(tmp_path / "picture.png")
    result = built.run("classify", str(tmp_path / "picture.png"))
    with open_engine(built.path) as runner:
        logits = runner.infer(read[None])[0]
    lines = [line.split() for line in result.stdout.decode().splitlines()]
    best = np.argsort(-logits, kind="stable")[:5]
    assert [int(line[1]) for line in lines] == best.tolist()
    assert [line[3] for line in lines] == [f"{logits[k]:.4f}" for k in best]


@pytest.mark.parametrize("size", [(10, 24), (61, 47), (240, 320), (9, 400)])
def test_a_picture_of_any_size_is_fitted_as_everywhere_else(
    built: Built, size: tuple[int, int], tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "picture.png"), pixels)
    fitted = Preprocessing(SIDE, SIDE, 3)(decoded(tmp_path / "picture.png"))
    result = built.run("classify", str(tmp_path / "picture.png"))
    with open_engine(built.path) as runner:
        logits = runner.infer(fitted[None])[0]
    assert [line.split()[3] for line in result.stdout.decode().splitlines()] == [
        f"{logits[k]:.4f}" for k in np.argsort(-logits, kind="stable")[:5]
    ]


def test_logits_that_are_not_numbers_have_no_class(tmp_path: Path) -> None:
    """The last layer's scales are so large that its sums are beyond every float."""
    isa = or_skip(host_isa)
    model = onnx.load(small_classifier(tmp_path / "model.onnx", SIDE))
    (scales,) = (
        one
        for one in model.graph.initializer
        if list(one.dims) == [7] and one.data_type == 1 and is_scale(one)
    )
    scales.CopyFrom(numpy_helper.from_array(np.full(7, 1e38, np.float32), scales.name))
    onnx.save(model, tmp_path / "model.onnx")
    write_engine(import_graph(tmp_path / "model.onnx"), isa, tmp_path / "engine")
    cv2.imwrite(str(tmp_path / "picture.png"), picture())
    result = Built(tmp_path / "engine", import_graph(tmp_path / "model.onnx")).run(
        "classify", str(tmp_path / "picture.png")
    )
    assert (result.returncode, result.stdout) == (1, b"")
    assert b"7 logits that are not numbers, so there is no class" in result.stderr


def is_scale(tensor: onnx.TensorProto) -> bool:
    values = numpy_helper.to_array(tensor)
    return bool((values > 0).all() and (values < 0.01).all())


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_pictures_are_errors(built: Built, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(cv2.imencode(".png", picture() // 16 * 16)[1].tobytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged.png").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert built.run("classify", str(tmp_path / "damaged.png")).returncode in (0, 1)


def test_metadata_describes_the_engine(built: Built) -> None:
    metadata, _ = read_engine(built.path)
    assert metadata["image"] == [SIDE, SIDE, 3]
    assert metadata["classes"] == 7
    assert metadata["macs"] == built.graph.macs == sum(layer["macs"] for layer in metadata["layers"])
    assert metadata["arena_bytes"] > SIDE * SIDE * 3


def test_two_engines_can_be_open_at_once(built: Built) -> None:
    images = picture()[None]
    with open_engine(built.path) as first, open_engine(built.path, threads=2) as second:
        assert np.array_equal(first.infer(images), second.infer(images))
    with open_engine(built.path) as third:
        assert np.array_equal(third.infer(images), oracle.run(built.graph, images))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_workers_are_kept_off_each_others_cpus_and_the_callers_is_left_alone(built: Built) -> None:
    allowed, before = os.sched_getaffinity(0), set(_threads())
    threads = min(len(allowed), 3)
    with open_engine(built.path, threads) as runner:
        runner.infer(picture()[None])
        workers = set(_threads()) - before
        places = [os.sched_getaffinity(worker) for worker in workers]
        assert len(places) == threads - 1
        assert len(set().union(*places)) == sum(map(len, places)) == len(allowed) - 1
        assert os.sched_getaffinity(0) == allowed


def _threads() -> list[int]:
    return [int(task.name) for task in Path("/proc/self/task").iterdir()]


def test_threads_that_have_to_share_a_cpu_finish_too(built: Built) -> None:
    allowed, images = os.sched_getaffinity(0), picture()[None]
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with open_engine(built.path, threads=3) as runner:
            found = [runner.infer(images) for _ in range(50)]
    finally:
        os.sched_setaffinity(0, allowed)
    assert all(np.array_equal(one, oracle.run(built.graph, images)) for one in found)


def test_threads_that_take_each_others_work_compute_the_same(tmp_path: Path) -> None:
    isa = or_skip(host_isa)
    m = QdqModel(32, 32, 3)  # layers so large that they are shared in pieces
    x = m.quantized(m.node("Relu", m.conv(m.image(), 64, 3)), 0.5, 0)
    x = m.quantized(m.node("Relu", m.conv(x, 64, 64)), 2.0, 0)
    x = m.quantized(m.node("GlobalAveragePool", x), 0.5, 0)
    graph = import_graph(m.save(m.gemm(m.node("Flatten", x), 7, 64), tmp_path / "model.onnx"))
    write_engine(graph, isa, tmp_path / "engine")
    images = np.random.default_rng(6).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    expected = oracle.run(graph, images)
    for threads in (2, 3, 5):
        with open_engine(tmp_path / "engine", threads) as runner:
            assert all(np.array_equal(runner.infer(images), expected) for _ in range(20))


def test_images_of_another_shape_are_refused(built: Built) -> None:
    with open_engine(built.path) as runner, pytest.raises(ValueError, match=r"needs uint8 \[N, 24, 24, 3\]"):
        runner.infer(np.zeros((1, 3, 24, 24), np.uint8))
