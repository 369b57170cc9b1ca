"""A Triton repository: its settings against Triton's own schema, its check over Triton's protocol."""

import importlib.util
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format  # type: ignore[import-untyped] # onnx brings it

from pipeline.packages.triton import config
from pipeline.packages.write import write_packages
from tests.pipeline.packages.conftest import MakeBundle
from tests.targets.tensorrt.bindings import wheel
from tests.targets.tensorrt.conftest import SHAPE


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """NVIDIA's model_config.proto, as its client has it."""
    found = wheel("tritonclient")
    if found is None:
        pytest.skip("the wheel of Triton's client is not here: run scripts/tensorrt_wheels.sh")
    folder = tmp_path_factory.mktemp("triton")
    with zipfile.ZipFile(found) as archive:
        file = archive.extract("tritonclient/grpc/model_config_pb2.py", folder)
    spec = importlib.util.spec_from_file_location("model_config_pb2", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(make_bundle: MakeBundle, tmp_path: Path) -> Path:
    (folder,) = write_packages(make_bundle(), ["triton"], tmp_path / "out")
    return folder


def test_the_configuration_is_what_tritons_schema_allows(package: Path, schema: ModuleType) -> None:
    place = package / "models" / "tiny"
    found = text_format.Parse((place / "config.pbtxt").read_text(), schema.ModelConfig())
    assert (found.name, found.platform, found.max_batch_size) == (place.name, "tensorrt_plan", 8)
    (image,), (logits,) = found.input, found.output
    assert (image.name, image.data_type, tuple(image.dims)) == ("image", schema.TYPE_UINT8, SHAPE)
    assert (logits.name, logits.data_type, tuple(logits.dims)) == ("logits", schema.TYPE_FP32, (5,))
    assert (place / logits.label_filename).read_text().splitlines() == ["shirt", "boot", "bag", "a;b", "coat"]
    assert found.dynamic_batching.max_queue_delay_microseconds > 0
    assert [one.batch_size for one in found.model_warmup] == [1, 8]
    for one in found.model_warmup:
        data = (place / "warmup" / one.inputs["image"].input_data_file).read_bytes()
        assert len(data) == np.prod(SHAPE)
    assert (
        f"--plan models/tiny/1/model.plan --largest-batch {found.max_batch_size}"
        in (package / "build_engine.sh").read_text()
    )


def test_a_name_with_quotes_stays_one_string(schema: ModuleType) -> None:
    found = text_format.Parse(config('a"b\\c', [1, 1, 3], [2, 4, 4]), schema.ModelConfig())
    assert found.name == 'a"b\\c'
    assert tuple(found.output[0].dims) == (2, 4, 4)


class Server(BaseHTTPRequestHandler):
    """The part of KServe v2 that is used, with the binary extension, over onnxruntime."""

    session: onnxruntime.InferenceSession
    factor = np.float32(1)
    best: np.float32 | None = None

    def do_POST(self) -> None:
        length = int(self.headers["Inference-Header-Content-Length"])
        body = self.rfile.read(int(self.headers["Content-Length"]))
        (tensor,) = json.loads(body[:length])["inputs"]
        if self.path != "/v2/models/tiny/infer":
            self.send_error(404, "unknown model")
            return
        assert (tensor["name"], tensor["datatype"]) == ("image", "UINT8")
        pixels = np.frombuffer(body[length:], np.uint8).reshape(tensor["shape"])
        (logits,) = self.session.run(None, {"image": pixels})
        if self.best is not None:
            logits[logits == logits.max(axis=1, keepdims=True)] = self.best
        data = (logits * self.factor).astype("<f4").tobytes()
        size = {"binary_data_size": len(data)}
        output = {"name": "logits", "datatype": "FP32", "shape": list(logits.shape), "parameters": size}
        header = json.dumps({"model_name": "tiny", "outputs": [output]}).encode()
        self.send_response(200)
        self.send_header("Inference-Header-Content-Length", str(len(header)))
        self.send_header("Content-Length", str(len(header) + len(data)))
        self.end_headers()
        self.wfile.write(header + data)

    def log_message(self, *_: object) -> None:
        """Write no log."""


@contextmanager
def serving(graph: Path, factor: float = 1.0, best: float | None = None) -> Iterator[str]:
    """Serve a graph. factor: of its logits; best: what the largest of each picture is replaced by."""
    session = onnxruntime.InferenceSession(graph)
    handler = type("Handler", (Server,), {"session": session, "factor": np.float32(factor), "best": best})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def checked(package: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "check_golden.pyz", *arguments]
    return subprocess.run(command, cwd=package, capture_output=True, text=True, check=False)


def test_the_check_passes_where_the_graph_is_served(package: Path) -> None:
    with serving(package / "build" / "model_flags.onnx") as address:
        done = checked(package, address, "tiny")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"image {number}: the same class, logits differ by up to 0" for number in range(4)
    ]


def test_the_check_fails_for_other_classes_and_without_a_server(package: Path) -> None:
    with serving(package / "build" / "model_flags.onnx", factor=-1) as address:
        done = checked(package, address, "tiny")
        assert (done.returncode, done.stderr) == (
            1,
            "check_golden: another class or none for image 0, 1, 2, 3\n",
        )
        done = checked(package, address, "huge")
        assert (done.returncode, "the server answers 404" in done.stderr) == (1, True)
    done = checked(package, address, "tiny")
    assert (done.returncode, done.stderr.startswith("check_golden: ")) == (1, True)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("best", [np.nan, np.inf])
def test_the_check_fails_for_logits_that_are_no_numbers_though_they_would_name_the_class(
    package: Path, best: float
) -> None:
    with serving(package / "build" / "model_flags.onnx", best=best) as address:
        done = checked(package, address, "tiny")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"image {number}: NO CLASS, 1 of 10 logits are not numbers" for number in range(4)
    ]
