"""A base installation works without torch, and each command that needs an extra names it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from benchmarks.installed_size import BASE, EXTRAS
from pipeline.extras import EXTRA_OF, NEEDED_FOR, MissingExtraError, naming_missing_extras
from tests.edgec.base_installation import base_installation

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the program where nothing is installed but what `pip install edgec` brings."""
    return base_installation(tmp_path_factory.mktemp("base") / "venv").run


@pytest.fixture
def network(quick_build: Path, tmp_path: Path) -> Path:
    """A folder with an ONNX network, its description, and settings for a short build."""
    (tmp_path / "net.onnx").symlink_to(quick_build / "resnet20-fashion-reference" / "model.onnx")
    (tmp_path / "net.toml").write_text('layout = "NHWC"\nsize = [32, 32]\nchannels = 1\nfit = "pad"\n')
    settings = 'data = "fashion-mnist"\nmodel = "net.onnx"\n[calibration]\nimages = 16\n'
    settings += "[validation]\nimages = 100\n[latency]\nseconds = 0.05\n"
    (tmp_path / "edgec.toml").write_text(settings)
    return tmp_path


@pytest.mark.slow
def test_an_onnx_network_is_built_without_torch(base: Run, network: Path) -> None:
    """The paths are relative: the graph, which is tried in a process of its own, is found there too."""
    for target in ("reference", "host"):
        done = base("build", "--config", "edgec.toml", "--target", target, "--out", "out", cwd=network)
        assert done.returncode in (0, 3), done.stderr
        assert (network / "out" / f"net-{target}.edgec").is_file()


@pytest.mark.parametrize(
    ("words", "package", "extra"),
    [
        ("build", "torch", "train"),
        ("train --model resnet20-fashion --data fashion-mnist", "torch", "train"),
        ("train --qat --data fashion-mnist", "torch", "train"),
        ("export -o model.onnx", "torch", "train"),
        ("calibrate -o out", "torch", "train"),
        ("build --config edgec.toml --recipe auto", "torch", "train"),
        ("build --config edgec.toml --recipe w8a8_asym_eq", "torch", "train"),
    ],
)
def test_a_command_that_needs_an_extra_says_how_to_install_it(
    base: Run, network: Path, words: str, package: str, extra: str
) -> None:
    done = base(*words.split(), cwd=network)
    assert done.returncode == 1
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("edgec: "))
    assert said.startswith(f"edgec: {package} is not installed: ")
    assert said.endswith(f"Install it: pip install 'edgec[{extra}]'")
    assert "Traceback" not in done.stderr


def test_the_doctor_lists_the_extras(base: Run, tmp_path: Path) -> None:
    found = json.loads(base("doctor", "--json", cwd=tmp_path).stdout)
    advice = {one["what"]: one["advice"] for one in found}
    assert all(advice[f"extra {extra}"] == f"pip install 'edgec[{extra}]'" for extra in NEEDED_FOR)


def test_extras_bring_what_they_are_named_for() -> None:
    assert set(EXTRA_OF.values()) == set(NEEDED_FOR) == set(EXTRAS) - {"test"}
    for package, extra in EXTRA_OF.items():
        assert any(Requirement(text).name.replace("-", "_").startswith(package) for text in EXTRAS[extra])
        assert not any(Requirement(text).name == package for text in BASE)


def test_a_module_that_no_extra_brings_is_a_bug() -> None:
    with pytest.raises(MissingExtraError, match="keras"), naming_missing_extras():
        raise ModuleNotFoundError(name="h5py._hl")
    with pytest.raises(ModuleNotFoundError), naming_missing_extras():
        raise ModuleNotFoundError(name="numpy")
