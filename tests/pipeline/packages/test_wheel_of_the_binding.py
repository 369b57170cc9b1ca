"""The wheel: pip installs it where there is no edgec, and its logits are the library's."""

import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from pipeline.packages.wheel import BINDING
from pipeline.packages.write import write_packages
from targets.runtime.embedded_network import EmbeddedFrame, EmbeddedNetwork

PROGRAM = """
import hashlib, sys
from importlib.metadata import distribution, requires

import numpy as np

import libedgec
from libedgec import EmbeddedFrame, EmbeddedNetwork

assert libedgec.__file__.startswith(sys.prefix), libedgec.__file__
assert "edgec" not in sys.modules and "targets" not in sys.modules
assert requires("libedgec") == ["numpy"]
picture = np.arange(31 * 46 * 3, dtype=np.uint8).reshape(31, 46, 3)
with EmbeddedNetwork(sys.argv[1]) as network, network.context() as context:
    sys.stdout.buffer.write(context.run_frame(EmbeddedFrame("BGR", (picture,))).tobytes())
"""
PICTURE = np.arange(31 * 46 * 3, dtype=np.uint8).reshape(31, 46, 3)


@pytest.fixture(scope="module")
def wheel(cpu_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (folder,) = write_packages(cpu_bundle, ["wheel"], tmp_path_factory.mktemp("wheel"))
    (found,) = folder.glob("*.whl")
    assert found.name in (folder / "README.md").read_text()
    return found


def test_an_empty_environment_installs_and_removes_it(wheel: Path, cpu_bundle: Path, tmp_path: Path) -> None:
    """NumPy, which pip would fetch, is lent from here in a folder of its own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", str(wheel)], check=True)
    numpy = Path(np.__file__).parent
    (tmp_path / "lent").mkdir()
    for name in (numpy, *numpy.parent.glob("numpy.libs")):
        (tmp_path / "lent" / name.name).symlink_to(name)
    command = [str(python), "-c", PROGRAM, str(cpu_bundle)]
    environment = {"PYTHONPATH": str(tmp_path / "lent")}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    with EmbeddedNetwork(cpu_bundle) as network, network.context() as context:
        assert done.stdout == context.run_frame(EmbeddedFrame("BGR", (PICTURE,))).tobytes()
    subprocess.run([*pip, "uninstall", "--yes", "libedgec"], check=True)
    assert not list((tmp_path / "venv").rglob("*edgec*"))


def test_its_bytes_depend_on_the_bundle_alone(wheel: Path, cpu_bundle: Path, tmp_path: Path) -> None:
    (again,) = write_packages(cpu_bundle, ["wheel"], tmp_path)
    assert (again / wheel.name).read_bytes() == wheel.read_bytes()
    assert wheel.name.startswith(f"libedgec-{version('edgec')}-py3-none-manylinux_2_28_")


def test_the_binding_is_the_bundles(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as held:
        assert held.testzip() is None
        for file, of in zip(BINDING, (EmbeddedNetwork, EmbeddedFrame), strict=True):
            source = Path(sys.modules[of.__module__].__file__ or "").read_bytes()
            assert held.read(f"libedgec/{file}") == source
