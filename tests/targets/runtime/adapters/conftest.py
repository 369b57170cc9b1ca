"""A bundle's folder as a user has it on a board, with the sources of the adapters."""

import platform
from pathlib import Path

import pytest

from targets.runtime.compiled_libedgec import embedding
from targets.tvm.cpu_target import host_isa
from tests.conftest import made_once
from tests.targets.needs import or_skip
from tests.targets.runtime.libedgec.tiny_networks import PackedNetwork, write_network


@pytest.fixture(scope="session")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked bundle of a small random network."""
    isa = or_skip(host_isa)

    def write(folder: Path) -> None:
        folder.mkdir()
        PackedNetwork(write_network(folder, isa)).unpacked(folder)
        for name, content in embedding(platform.machine()).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    return made_once(tmp_path_factory, "board", write)
