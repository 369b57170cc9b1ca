"""A Jetson over a real SSH connection: a server here, with doubles of its libraries."""

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from targets.devices import jetsons
from targets.registry import find_target
from targets.tensorrt import device as over_ssh
from targets.tensorrt.device import JetsonOnDevice
from tests.targets.reach.sshd import Sshd, running_sshd
from tests.targets.tensorrt.bindings import BINDINGS, unpack, wheel
from tests.targets.tensorrt.device_double import CLASSES, SHAPE
from tests.targets.tensorrt.jetson_over_ssh.jetson_steps import VERSIONS
from tests.targets.tensorrt.loopback import install


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    missing = [version for version in VERSIONS.values() if wheel(BINDINGS[version]) is None]
    if missing:
        pytest.skip(f"the bindings of TensorRT {missing[0]} are not here: run scripts/tensorrt_wheels.sh")
    return {jetpack: unpack(v, tmp_path_factory.mktemp("bindings")) for jetpack, v in VERSIONS.items()}


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    over_ssh.module_facts.cache_clear()
    over_ssh.tool.cache_clear()
    with running_sshd(tmp_path / "sshd", monkeypatch) as server:
        server.give_this_python(tmp_path / "bin")
        yield server


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """What a build leaves for the device: ONNX files that only the double can run."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *SHAPE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])
    for name in find_target("jetson").shipped:
        onnx.save(helper.make_model(helper.make_graph([], name, [image], [logits])), tmp_path / name)
    return tmp_path / JetsonOnDevice.engine_name


@pytest.fixture
def target(sshd: Sshd, unpacked: dict[str, Path]) -> JetsonOnDevice:
    sshd.use_path(install(sshd.folder / "jetson", "6.2", unpacked["6.2"]))
    return JetsonOnDevice(jetsons()["jetson-orin-nano"], sshd.device)
