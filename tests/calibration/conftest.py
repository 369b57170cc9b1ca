"""Models and images that the calibration tests share."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.calibration.residual_networks import Exported, TinyResNet, Varied, export


@pytest.fixture(scope="session", params=["shortcut_a", "projection", "gray"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    channels = 1 if request.param == "gray" else 3
    network = TinyResNet(channels=channels, projection=request.param == "projection")
    return export(network, tmp_path_factory.mktemp("models") / f"{request.param}.onnx", (16, 16, channels))


@pytest.fixture(scope="session")
def rgb_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return export(TinyResNet(), tmp_path_factory.mktemp("models") / "rgb.onnx").path


@pytest.fixture(scope="session")
def varied_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(Varied(), tmp_path_factory.mktemp("models") / "varied.onnx").path


def pictures(count: int, shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Smooth random pictures [count, H, W, C] with 0 and 255 in them."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, shape[0] // 4, shape[1] // 4, shape[2]))
    fine = np.kron(coarse, np.ones((1, 4, 4, 1))) + rng.normal(0, 12, (count, *shape))
    return np.clip(np.rint(fine), 0, 255).astype(np.uint8)
