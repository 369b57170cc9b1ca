"""Packages of a bundle for ARM, made on another machine: they are for arm64, and what they install runs."""

import io
import json
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.packages.write import write_packages
from targets.reach import emulator
from targets.runtime.compiled_libedgec import COMPILED
from targets.runtime.embedded_network import EmbeddedNetwork
from targets.runtime.zig import run_zig
from targets.tvm.isa import ISAS
from tests.pipeline.packages.conftest import write_cpu_bundle
from tests.targets.runtime.libedgec.tiny_networks import PackedNetwork, write_network

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (emulator.is_installed() and shutil.which("dpkg-deb")),
        reason="qemu-aarch64 or dpkg-deb is not here: packages for ARM are NOT TESTED",
    ),
]
PHOTO = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (60, 45, 3), np.uint8))[1].tobytes()
PROGRAM = """
#include <edgec.h>
#include <stdio.h>
int main(int count, char **arguments) {
  edgec_network *network;
  edgec_description about = {.size = sizeof about};
  if (count < 2 || edgec_open(arguments[1], NULL, &network, NULL)) return 1;
  edgec_describe(network, &about);
  printf("%s %s", about.model, about.instructions);
}
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arm")
    return write_cpu_bundle(PackedNetwork(write_network(folder, ISAS["neon"])), "aarch64", folder)


@pytest.fixture(scope="module")
def packages(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packages")
    kinds = ["deb", "oci", "wheel"]
    return dict(zip(kinds, write_packages(bundle, kinds, folder), strict=True))


@pytest.fixture(scope="module")
def logits(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What the same network gives here, on any processor: C in qemu-aarch64 has its bits."""
    folder = tmp_path_factory.mktemp("here")
    here = PackedNetwork(write_network(folder, ISAS["sse4"])).packed(folder / "here.edgec")
    with EmbeddedNetwork(here) as network, network.context() as context:
        return context.run_frame(network.decode(PHOTO)).tobytes()


@contextmanager
def emulated(command: list[str | Path]) -> Iterator[str]:
    """Run a service in the emulator; where it answers."""
    told = [emulator.QEMU, "-cpu", "cortex-a72", *map(str, command), "--port", "0", "--workers", "1"]
    with subprocess.Popen(told, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.terminate()
        assert process.wait(60) == 0


def answer(url: str) -> bytes:
    """What a service says of the photo."""
    headers = {"Inference-Header-Content-Length": "0"}
    asked = urllib.request.Request(f"{url}/infer", PHOTO, headers)  # noqa: S310 - of this machine
    with urllib.request.urlopen(asked) as found:  # noqa: S310 - the same
        (output,) = json.loads(found.read())["outputs"]
    return np.array(output["data"], np.float32).tobytes()


def fields(deb: Path) -> dict[str, str]:
    asked = ["dpkg-deb", "--field", str(deb), "Package", "Architecture"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return dict(line.split(": ", 1) for line in told.splitlines())


def test_debian_s_are_of_arm64_and_what_they_install_runs(
    packages: dict[str, Path], logits: bytes, tmp_path: Path
) -> None:
    debs = sorted(packages["deb"].glob("*.deb"))
    assert [fields(deb) for deb in debs] == [
        {"Package": name, "Architecture": "arm64"}
        for name in ("edgec-model-tiny", "edgec-serve", "libedgec-dev", "libedgec1")
    ]
    if shutil.which("lintian"):
        asked = [
            "lintian",
            "--allow-root",
            "--fail-on",
            "error,warning",
            "--profile",
            "debian",
            *map(str, debs),
        ]
        found = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert (found.returncode, found.stdout) == (0, ""), found.stderr
    for deb in debs:
        subprocess.run(["dpkg-deb", "--extract", deb, tmp_path], check=True)
    library = tmp_path / "usr/lib/aarch64-linux-gnu"
    assert (library / "libedgec.so.1").resolve().read_bytes()[18:20] == b"\xb7\0"  # EM_AARCH64
    program, network = tmp_path / "program", tmp_path / "usr/lib/edgec/tiny"
    (tmp_path / "program.c").write_text(PROGRAM)
    options = ["-target", "aarch64-linux-musl", "-static", f"-I{tmp_path}/usr/include", "-lm"]
    linked = run_zig(options, [tmp_path / "program.c", library / "libedgec.a"], program)
    assert linked.returncode == 0, linked.stderr
    opened = subprocess.run([emulator.QEMU, program, network], capture_output=True, text=True, check=True)
    assert opened.stdout == "tiny neon"
    with emulated([tmp_path / "usr/bin/edgec-serve", network]) as url:
        assert answer(url) == logits


def blob(image: Path, told: dict[str, str]) -> bytes:
    return (image / "blobs" / told["digest"].replace(":", "/")).read_bytes()


def test_the_image_is_of_arm64_small_and_others_unpack_it(
    packages: dict[str, Path], logits: bytes, tmp_path: Path
) -> None:
    image = packages["oci"] / "image"
    index = json.loads((image / "index.json").read_text())
    manifest = json.loads(blob(image, index["manifests"][0]))
    config = json.loads(blob(image, manifest["config"]))
    assert (config["os"], config["architecture"]) == ("linux", "arm64")
    (layer,) = manifest["layers"]
    root = tmp_path / "root"
    with tarfile.open(fileobj=io.BytesIO(blob(image, layer))) as held:
        held.extractall(root, filter="tar")
    engine = (root / "model/engine/model.engine").stat().st_size
    assert sum(path.stat().st_size for path in image.rglob("*") if path.is_file()) <= engine + (2 << 20)
    if shutil.which("skopeo"):
        told = ["skopeo", "--override-arch", "arm64", "inspect", f"oci:{image}"]
        seen = json.loads(subprocess.run(told, capture_output=True, check=True).stdout)
        assert seen["Architecture"] == "arm64"
    if shutil.which("umoci"):
        tag = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
        unpack = ["umoci", "unpack", "--rootless", "--image", f"{image}:{tag}", f"{tmp_path}/unpacked"]
        subprocess.run(unpack, capture_output=True, check=True)
        root = tmp_path / "unpacked" / "rootfs"
    with emulated([root / "edgec-serve", root / "model"]) as url:
        assert answer(url) == logits


def test_the_wheel_is_for_arm(packages: dict[str, Path], tmp_path: Path) -> None:
    (wheel,) = packages["wheel"].glob("*.whl")
    assert wheel.name.endswith("_aarch64.whl")
    shutil.unpack_archive(wheel, tmp_path, "zip")
    (library,) = tmp_path.rglob("libedgec.so.1")
    assert library.read_bytes() == (COMPILED.folder("aarch64") / "libedgec.so.1").read_bytes()
