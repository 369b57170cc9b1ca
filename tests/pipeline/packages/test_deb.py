"""Packages for Debian: lintian finds nothing, and what they install compiles and serves."""

import os
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from pipeline.packages.deb import UNIT
from pipeline.packages.write import write_packages
from tests.targets.runtime.serve.conftest import serving

DPKG, LINTIAN = shutil.which("dpkg-deb"), shutil.which("lintian")
NAMES = ("edgec-model-tiny", "edgec-serve", "libedgec-dev", "libedgec1")
pytestmark = pytest.mark.skipif(DPKG is None, reason="dpkg-deb is not here: Debian's packages are NOT TESTED")


@pytest.fixture(scope="module")
def debs(cpu_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    (folder,) = write_packages(cpu_bundle, ["deb"], tmp_path_factory.mktemp("debs"))
    return sorted(folder.glob("*.deb"))


@pytest.fixture(scope="module")
def system(debs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is installed by all of them."""
    root = tmp_path_factory.mktemp("system")
    for deb in debs:
        subprocess.run(["dpkg-deb", "--extract", deb, root], check=True)
    return root


def test_each_is_of_this_machine(debs: list[Path]) -> None:
    assert tuple(deb.name.split("_")[0] for deb in debs) == NAMES
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    for deb in debs:
        asked = ["dpkg-deb", "--field", str(deb), "Architecture"]
        assert (
            subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == architecture
        )


@pytest.mark.skipif(LINTIAN is None, reason="lintian is not here: packages are NOT CHECKED with it")
def test_lintian_finds_nothing(debs: list[Path]) -> None:
    found = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", "--profile", "debian", *debs],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, ""), found.stderr


def test_their_bytes_depend_on_the_bundle_alone(debs: list[Path], cpu_bundle: Path, tmp_path: Path) -> None:
    (again,) = write_packages(cpu_bundle, ["deb"], tmp_path)
    assert [(again / deb.name).read_bytes() for deb in debs] == [deb.read_bytes() for deb in debs]


@pytest.mark.skipif(
    not (shutil.which("gcc") and shutil.which("pkg-config")),
    reason="gcc or pkg-config is not here: what is installed is NOT COMPILED with",
)
def test_a_program_is_compiled_with_what_is_installed(system: Path, tmp_path: Path) -> None:
    (pc,) = system.rglob("edgec.pc")
    told = {**os.environ, "PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_SYSROOT_DIR": str(system)}
    told["PKG_CONFIG_ALLOW_SYSTEM_LIBS"] = told["PKG_CONFIG_ALLOW_SYSTEM_CFLAGS"] = "1"
    asked = ["pkg-config", "--cflags", "--libs", "edgec"]
    flags = subprocess.run(asked, env=told, capture_output=True, text=True, check=True).stdout.split()
    source = tmp_path / "program.c"
    source.write_text(
        "#include <edgec.h>\nint main(int n, char **a) { edgec_network *w; (void)n;"
        " return (int)edgec_open(a[1], 0, &w, 0); }\n"
    )
    subprocess.run(["gcc", str(source), *flags, "-o", str(tmp_path / "program")], check=True)
    opened = [str(tmp_path / "program"), str(system / "usr/lib/edgec/tiny")]
    environment = {"LD_LIBRARY_PATH": str(pc.parent.parent)}
    assert subprocess.run(opened, env=environment, check=False).returncode == 0


def test_the_service_serves_the_network_that_is_installed(system: Path) -> None:
    with serving(system / "usr/bin/edgec-serve", system / "usr/lib/edgec/tiny") as service:
        assert service.url.endswith("/v2/models/tiny")
    assert (system / "usr/lib/systemd/system/edgec-serve@.service").read_text() == UNIT


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not here: the unit is NOT CHECKED by it"
)
def test_systemd_calls_the_unit_safe(system: Path) -> None:
    """Its exposure, from 0 to 10: below 2 is "OK", as strict as a service with a port can be."""
    unit = system / "usr/lib/systemd/system/edgec-serve@.service"
    asked = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_files_belong_to_root(debs: list[Path], tmp_path: Path) -> None:
    for deb in debs:
        data = tmp_path / "data.tar"
        data.write_bytes(
            subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True).stdout
        )
        with tarfile.open(data) as held:
            assert {(one.uid, one.gid, one.mode & 0o022) for one in held if not one.issym()} == {(0, 0, 0)}
