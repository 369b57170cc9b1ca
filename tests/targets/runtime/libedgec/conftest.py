"""Networks for programs that embed one, made once for all tests here."""

import platform
from dataclasses import dataclass
from pathlib import Path

import pytest

from targets.runtime.compiled_libedgec import COMPILED
from targets.tvm.cpu_target import host_isa
from targets.tvm.isa import ISAS
from tests.conftest import made_once
from tests.targets.needs import or_skip
from tests.targets.runtime.libedgec.tiny_networks import PackedNetwork, write_network


@dataclass(frozen=True)
class Engines:
    """Engines of the same two networks: with three channels and with one, and the first for ARM."""

    color: Path
    gray: Path
    arm: Path


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Engines:
    isa = or_skip(host_isa)

    def write(folder: Path) -> None:
        folder.mkdir()
        for each, channels in ((isa, 3), (isa, 1), (ISAS["neon"], 3)):
            write_network(folder, each, channels)

    folder = made_once(tmp_path_factory, "embedded networks", write)
    return Engines(folder / f"{isa.name}-3.engine", folder / f"{isa.name}-1.engine", folder / "neon-3.engine")


@pytest.fixture(scope="session")
def bundle(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return PackedNetwork(engines.color).packed(tmp_path_factory.mktemp("bundle") / "tiny-host.edgec")


@pytest.fixture(scope="session")
def here() -> Path:
    """The folder with libedgec.so and libedgec.a for this machine."""
    return COMPILED.folder(platform.machine())
