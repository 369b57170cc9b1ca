"""A change of structure changes no byte. What does not depend on the processor is compared with digests here.

The weights that the default build writes do depend on it: libraries fold and collect in float32, each in its
own order. So of its ONNX files the structure is compared, and engines are made from given integers.
All bytes, before and after a change on one machine: `python -m benchmarks.default_digests`.

Who means to change what is compared here says so in the commit that changes its digest.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import onnx
import pytest

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from targets.tvm.cpu_target import compile_engine
from targets.tvm.isa import ISAS
from targets.tvm.tuning import database
from tests.targets.tvm.qdq_model import QdqModel

STRUCTURES = {
    "model.onnx": "8204f370a6d70ac0b27a03ff1febc2b4bfed96ba251322855266912e6f9eeddf",
    "model.int8.onnx": "44f0aa560d7c721b21f4aadfbf27f2b9adeaf65c22f07d71752036de780d7591",
}
RANGES = "74ffe18cdaaa9ba348f8ce3191b3070a944d00b8359c10b0ba8dc69c62ea89af"
ENGINES = {
    "avx512vnni": "bfc63c42a6261fa086c24db439d0e8d6b84387eb846b2de3c15d369f69ef1bd8",
    "avx2": "851986c35b954d12165cf55d336c2a45e98f82c90ac0deed6aca1a40a686cb49",
    "i8mm": "1b620db65d2b6e6bcc510123f1fb12e5f2036451fc51f06fe6586ee514e66979",
    "dotprod": "64c2487b67391aed2bc5e90f838110ba75b9051b589c78a3b4bc0c63b116e284",
    "neon": "1826f8fb659df728a75f5e88e876775b7bbeaffe843b305330e9357b720849b8",
}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """All defaults, for this machine."""
    options = {"out": tmp_path_factory.mktemp("digests") / "out"}
    return Build(load_config(BuildConfig, None, options), Silent())


@pytest.fixture(scope="module")
def integers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with each integer operator, whose numbers are random but the same everywhere."""
    m = QdqModel(20, 20, 3)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 48, 3, 7, strides=[2, 2])), 0.5, 0)
    x = m.node("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])
    inside = m.quantized(m.node("Relu", m.conv(x, 48, 48)), 1.0, 3)
    x = m.quantized(m.node("Relu", m.node("Add", m.conv(inside, 48, 48), x)), 2.0, 0)
    apart = m.quantized(m.conv(x, 48, 1, group=48), 1.5, 120)
    x = m.quantized(m.node("Concat", apart, x, axis=1), 2.5, 90)
    x = m.quantized(m.node("Relu", m.node("Add", x, x)), 4.0, 0)
    x = m.quantized(m.node("GlobalAveragePool", x), 0.5, 0)
    return m.save(m.gemm(m.node("Flatten", x), 10, 96), tmp_path_factory.mktemp("integers") / "model.onnx")


def text_digest(lines: Iterator[str]) -> str:
    return sha256("\n".join(lines).encode()).hexdigest()


def structure(model: onnx.ModelProto) -> Iterator[str]:
    """All of a model but the numbers of its weights."""
    graph = model.graph
    yield f"{model.ir_version} {[(o.domain, o.version) for o in model.opset_import]}"
    yield from (str(value) for value in (*graph.input, *graph.output))
    yield from (f"{i.name} {i.data_type} {list(i.dims)}" for i in graph.initializer)
    yield from (str(node) for node in graph.node)


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_default_build_writes_the_graphs_that_it_wrote(name: str, build: Build) -> None:
    model = build.float_model if name == "model.onnx" else build.int8_model
    assert text_digest(structure(onnx.load(model.path))) == STRUCTURES[name]


def test_it_observes_the_tensors_that_it_observed(build: Build) -> None:
    found = json.loads(build.ranges.path.read_text())
    assert text_digest(iter(found["tensors"])) == RANGES


@pytest.mark.parametrize("isa", ENGINES)
def test_an_engine_of_given_integers_has_the_bytes_it_had(
    isa: str, integers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEC_TUNED", str(tmp_path / "none"))  # without blocks that this user has tuned
    monkeypatch.setattr(database, "processor", lambda _: database.ANY)  # no blocks tuned for this one
    compile_engine(integers, ISAS[isa], tmp_path / "engine")
    assert sha256((tmp_path / "engine").read_bytes()).hexdigest() == ENGINES[isa]
