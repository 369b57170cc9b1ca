"""A service of a small network, compiled with sanitizers where there is a compiler for that."""

import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from targets.runtime.compiled_libedgec import ARCHIVE, COMPILED, LIBRARY
from targets.runtime.compiled_service import COMPILED_SERVICE, SERVICE, SERVICE_SOURCES
from targets.tvm.cpu_target import host_isa
from tests.conftest import made_once
from tests.targets.needs import or_skip
from tests.targets.runtime.libedgec.tiny_networks import PackedNetwork, write_network
from tests.targets.tensorrt.bindings import wheel

CLIENT = (
    "tritonclient",
    "geventhttpclient",
    "gevent",
    "python_rapidjson",
    "brotli",
    "zope_event",
    "zope_interface",
)
CLIENT_ALSO = ("urllib3", "certifi", "greenlet")
COMPILER = shutil.which("gcc") or shutil.which("clang")


@dataclass(frozen=True)
class Service:
    """A program that runs, and where it answers."""

    process: "subprocess.Popen[str]"
    url: str

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return self.url.split("/")[2]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.split(":")[1])


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    isa = or_skip(host_isa)

    def write(folder: Path) -> None:
        folder.mkdir()
        PackedNetwork(write_network(folder, isa)).packed(folder / "tiny.edgec")

    return made_once(tmp_path_factory, "served", write) / "tiny.edgec"


@pytest.fixture(scope="session")
def service_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service; memory that it misuses ends it with a report."""
    if COMPILER is None:
        return COMPILED_SERVICE.folder(platform.machine()) / SERVICE

    def write(folder: Path) -> None:
        folder.mkdir()
        flags = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all"]
        archive = COMPILED.folder(platform.machine()) / ARCHIVE
        sources = [*SERVICE_SOURCES, archive, "-lm", "-pthread", "-o", folder / SERVICE]
        command = [str(COMPILER), *flags, "-fsanitize=address,undefined", f"-I{LIBRARY}", *map(str, sources)]
        subprocess.run(command, check=True)

    return made_once(tmp_path_factory, "service with sanitizers", write) / SERVICE


@contextmanager
def serving(
    program: Path, bundle: Path, options: Sequence[str] = (), environment: dict[str, str] | None = None
) -> Iterator[Service]:
    """Run the service on any port. At the end it has to have ended by itself, and well."""
    command = [str(program), str(bundle), "--port", "0", "--workers", "2", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment or {}
    )
    assert process.stdout
    try:
        yield Service(process, process.stdout.readline().strip())
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")


@pytest.fixture
def service(service_program: Path, tiny_bundle: Path) -> Iterator[Service]:
    with serving(service_program, tiny_bundle) as running:
        yield running


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Triton's client and what it needs."""
    found = [wheel(f"{name}-") for name in (*CLIENT, *CLIENT_ALSO)]
    if sys.version_info[:2] != (3, 11) or None in found:
        pytest.skip("Triton's client is NOT asked: run scripts/tensorrt_wheels.sh, with Python 3.11")
    folder = tmp_path_factory.mktemp("triton")
    for one in found:
        with zipfile.ZipFile(str(one)) as archive:
            archive.extractall(folder)
    return folder
