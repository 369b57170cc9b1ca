"""Networks of other families, from float ONNX to engines: what is integer, and that all machines agree."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from torch import nn

from calibration.collect import collect
from calibration.qdq import quantize
from calibration.recipe import QuantRecipe
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.rewrite import adopt
from pipeline.task import Task
from targets.reach.emulator import EmulatedRunner
from targets.reach.emulator import check as check_emulator
from targets.runtime.native_runner import open_engine
from targets.tvm import oracle
from targets.tvm.cpu_target import host_isa
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import Island
from targets.tvm.isa import ISAS
from tests.calibration.conftest import pictures
from tests.pipeline.models.foreign import mobile_networks, networks, plain_networks, segmenters
from tests.targets.needs import or_skip
from tests.targets.tvm.against_oracle import write_what_runs
from tests.targets.tvm.meaning import in_floats

SIZE = (networks.SIDE, networks.SIDE, 3)


@dataclass(frozen=True)
class NetworkCase:
    """A network and the operators of it that run in float."""

    network: type[nn.Module]
    scheme: str = "w8a8_asym"
    floats: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.network.__name__}-{self.scheme}"

    @property
    def task(self) -> Task:
        return Task.SEGMENT if self.network in networks.SEGMENTERS.values() else Task.CLASSIFY


ENDS = frozenset({"Cast", "Sub", "Mul", "Transpose", "GlobalAveragePool", "Flatten", "Gemm"})
"""What w8a8_sym leaves in float: normalisation and classifier."""
CASES = [
    NetworkCase(plain_networks.AlexNetLike),
    NetworkCase(plain_networks.VggLike),
    NetworkCase(plain_networks.GoogLeNetLike),
    NetworkCase(plain_networks.DenseNetLike),
    NetworkCase(mobile_networks.MobileNetLike),
    NetworkCase(plain_networks.HighwayLike),
    NetworkCase(mobile_networks.MobileNetV3Like),
    NetworkCase(mobile_networks.EfficientNetLike),
    NetworkCase(mobile_networks.EfficientNetLiteLike),
    NetworkCase(segmenters.FcnLike),
    NetworkCase(segmenters.UNetLike),
    NetworkCase(mobile_networks.ShuffleNetLike),
    NetworkCase(plain_networks.DenseNetLike, "w8a8_sym", ENDS),
    NetworkCase(mobile_networks.MobileNetLike, "w8a8_sym", ENDS),
]


Quantised = Callable[[NetworkCase], Path]


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> Quantised:
    """Write a case's Q/DQ graph, once for all machines."""
    return cache(lambda case: quantize_case(case, tmp_path_factory.mktemp("network")))


def quantize_case(case: NetworkCase, folder: Path) -> Path:
    net = networks.export(networks.make(case.network), folder / "net.onnx")
    description = Description(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), fit="stretch", task=case.task)
    source, recipe = described(net, description), QuantRecipe.parse(case.scheme)
    onnx.save(adopt(source, True, lambda _: None), folder / "model.onnx")
    ranges = collect(folder / "model.onnx", [pictures(32, SIZE, seed=1)], recipe)
    quantize(folder / "model.onnx", ranges, recipe, folder / "int8.onnx")
    return folder / "int8.onnx"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_runs_here_as_the_oracle_says_and_as_onnxruntime_means(
    case: NetworkCase, quantised: Quantised, tmp_path: Path
) -> None:
    model = quantised(case)
    graph, images = import_graph(model), pictures(16, SIZE)
    found = {node.op_type for op in graph.operators if isinstance(op, Island) for node in op.model.graph.node}
    assert found <= case.floats
    assert bool(found) == bool(case.floats)
    expected = oracle.run(graph, images)
    reference = in_floats(model, images).reshape(len(images), -1)
    assert np.square(expected - reference).sum() <= 1e-3 * np.square(reference).sum()
    isa = or_skip(host_isa)
    write_what_runs(graph, isa, tmp_path / "engine")
    with open_engine(tmp_path / "engine", threads=2) as runner:
        assert np.array_equal(runner.infer(images).view(np.int32), expected.view(np.int32))


ALWAYS = NetworkCase(plain_networks.DenseNetLike)


@pytest.mark.parametrize(
    "case", [ALWAYS, *(pytest.param(c, marks=pytest.mark.slow) for c in CASES if c != ALWAYS)], ids=str
)
def test_it_runs_on_any_arm_board_as_the_oracle_says(
    case: NetworkCase, quantised: Quantised, tmp_path: Path
) -> None:
    or_skip(check_emulator)
    graph, images = import_graph(quantised(case)), pictures(4, SIZE)
    write_what_runs(graph, ISAS["neon"], tmp_path / "engine")
    found = EmulatedRunner(tmp_path / "engine", "cortex-a72").infer(images)
    assert np.array_equal(found.view(np.int32), oracle.run(graph, images).view(np.int32))
