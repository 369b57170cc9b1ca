"""What tests do with a Jetson over SSH: run an engine there, and cut the connection."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from targets.devices import Jetson
from targets.errors import DeviceError
from targets.reach.ssh import SshAddress, SshDevice
from targets.runtime.measure import Settings
from targets.tensorrt.device import JetsonOnDevice
from tests.targets.reach.sshd import Sshd
from tests.targets.tensorrt.device_double import CLASSES, SHAPE, logits_of
from tests.targets.tensorrt.on_device import pictures
from tests.targets.tensorrt.two_convolutions import two_convolutions

VERSIONS = {"5.1": "8.6.1", "6.0": "8.6.1", "6.2": "10.3.0", "7.1": "10.13.3.9", "7.2": "10.16.1.11"}
NO_GPU = r"no NVIDIA GPU answers here: .+\. Engines for a Jetson are built on the Jetson itself"
QUICK = Settings(min_runs=10, max_runs=10, max_warmup_seconds=0.05)


def runs(target: JetsonOnDevice, engine: Path) -> None:
    """What a new process does: nothing is remembered here."""
    target = JetsonOnDevice(target.module, target.reached)
    images = pictures(5)
    with target.open(engine) as runner:
        assert np.array_equal(runner.infer(images), logits_of(images))


def cut_while_held(sshd: Sshd, step: str, work: Callable[[], object]) -> None:
    """Cut the connection while a step waits, and let it go on without one."""
    hold, held = sshd.home / f"hold-{step}", sshd.home / f"held-{step}"
    hold.touch()

    def cut() -> None:
        while not held.exists():
            time.sleep(0.02)
        sshd.cut()
        hold.unlink()

    cutter = threading.Thread(target=cut)
    cutter.start()
    with pytest.raises(DeviceError):
        work()
    cutter.join()


def with_convolutions(folder: Path, module: Jetson) -> Path:
    """ONNX files of two convolutions with 2:4 weights, each another file."""
    for number, name in enumerate(JetsonOnDevice(module, SshDevice(SshAddress("none"))).shipped):
        weights = np.zeros((4, 4, 1, 1), np.int8)
        weights[:, :2] = number + 1
        graph = onnx.load_model_from_string(two_convolutions(weights))
        graph.graph.node.append(helper.make_node("Identity", ["second"], ["logits"]))
        del graph.graph.input[:], graph.graph.output[:]
        graph.graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *SHAPE]))
        graph.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES]))
        onnx.save(graph, folder / name)
    return folder / JetsonOnDevice.engine_name
