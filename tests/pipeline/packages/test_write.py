from pathlib import Path

import pytest

from pipeline.config import BuildConfig, load_config
from pipeline.errors import BundleError, UsageError
from pipeline.packages.kinds import KINDS, check_kinds
from pipeline.packages.write import write_packages
from tests.conftest import Edgec
from tests.pipeline.packages.conftest import MakeBundle

FOR_CPU = ("deb", "oci", "wheel")
FOR_JETSON = tuple(kind for kind in KINDS if kind not in FOR_CPU)


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_says_what_to_do_and_stays_as_it_is(
    make_bundle: MakeBundle, cpu_bundle: Path, tmp_path: Path, kind: str
) -> None:
    bundle = cpu_bundle if kind in FOR_CPU else make_bundle()
    (folder,) = write_packages(bundle, [kind], tmp_path / "out")
    assert (folder / "README.md").read_text().startswith("# ")
    (folder / "README.md").write_text("changed")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    write_packages(bundle, [kind], tmp_path / "out")
    again = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert [path.name for path in before if again[path] != before[path]] == ["README.md"]


@pytest.mark.parametrize("kind", FOR_JETSON)
def test_a_bundle_for_a_cpu_is_refused_with_a_reason(
    make_bundle: MakeBundle, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(UsageError, match=f"A package for {kind} is made of a bundle for a Jetson"):
        write_packages(make_bundle(runner="native_runner"), [kind], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_bundle_makes_no_package(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = make_bundle()
    bundle.write_bytes(bundle.read_bytes()[:-100])
    with pytest.raises(BundleError):
        write_packages(bundle, ["triton"], tmp_path / "out")


def test_unknown_and_repeated_kinds_are_named() -> None:
    with pytest.raises(UsageError, match=r"no package 'tritn'\. Did you mean 'triton'"):
        check_kinds(("tritn",))
    with pytest.raises(UsageError, match="give each kind once"):
        check_kinds(("triton", "triton"))


def test_settings_ask_for_packages(tmp_path: Path) -> None:
    (tmp_path / "edgec.toml").write_text('package = ["triton", "deepstream"]\n')
    assert load_config(BuildConfig, tmp_path / "edgec.toml", {}).package == ("triton", "deepstream")


def test_a_wrong_kind_ends_a_build_before_any_work(edgec: Edgec, tmp_path: Path) -> None:
    (tmp_path / "edgec.toml").write_text('package = ["debs"]\n')
    done = edgec("build", "--config", tmp_path / "edgec.toml", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("edgec: There is no package 'debs'.")
    assert not list(tmp_path.glob("out/*.edgec"))


def test_the_command_writes_beside_the_bundle(edgec: Edgec, make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    done = edgec("package", bundle, "triton", "container")
    assert done.returncode == 0, done.stderr
    assert (bundle.with_suffix("") / "triton" / "models" / "tiny" / "config.pbtxt").is_file()
    assert (bundle.with_suffix("") / "container" / "jetpack6.Dockerfile").is_file()
    done = edgec("package", bundle, "deb-file")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
