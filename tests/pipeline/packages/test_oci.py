"""The container image: digests agree, others' tools read it, and what is in it serves."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import urllib.request
from pathlib import Path

import pytest

from pipeline.packages.write import write_packages


@pytest.fixture(scope="module")
def image(cpu_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (folder,) = write_packages(cpu_bundle, ["oci"], tmp_path_factory.mktemp("oci"))
    return folder / "image"


def blob(image: Path, told: dict[str, object]) -> bytes:
    """Return a blob that has the digest and size that are told."""
    algorithm, _, digest = str(told["digest"]).partition(":")
    data = (image / "blobs" / algorithm / digest).read_bytes()
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (digest, told["size"])
    return data


@pytest.fixture(scope="module")
def root(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's file system."""
    folder = tmp_path_factory.mktemp("root")
    manifest = json.loads(blob(image, json.loads((image / "index.json").read_text())["manifests"][0]))
    config = json.loads(blob(image, manifest["config"]))
    (layer,) = manifest["layers"]
    data = blob(image, layer)
    with tarfile.open(fileobj=io.BytesIO(data)) as held:
        held.extractall(folder, filter="tar")
    plain = subprocess.run(["gzip", "-dc"], input=data, capture_output=True, check=True).stdout
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(plain).hexdigest()}"]
    return folder


def test_it_holds_the_service_and_the_engine_alone(image: Path, root: Path) -> None:
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert found == {"edgec-serve", "model/manifest.json", "model/engine/model.engine"}
    size = sum(path.stat().st_size for path in image.rglob("*") if path.is_file())
    assert size <= (root / "model" / "engine" / "model.engine").stat().st_size + (2 << 20)


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not here: nobody else READS the image")
def test_skopeo_copies_it(image: Path, tmp_path: Path) -> None:
    copied = [
        "skopeo",
        "copy",
        "--insecure-policy",
        f"oci:{image}",
        f"docker-archive:{tmp_path}/image.tar:edgec:1",
    ]
    done = subprocess.run(copied, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may try a program in another root folder")
def test_it_serves_as_an_unprivileged_user_with_its_own_root(root: Path) -> None:
    root.chmod(0o755)
    command = ["/edgec-serve", "/model", "--port", "0"]
    holder = ["chroot", "--userspec=65534:65534", str(root), *command]
    with subprocess.Popen(
        holder, stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"http://{url.split('/')[2]}/v2/health/ready") as answer:
            assert answer.status == 200
        process.terminate()
        assert process.wait(60) == 0


def test_without_a_secret_it_does_not_start(root: Path) -> None:
    command = [str(root / "edgec-serve"), str(root / "model"), "--host", "0.0.0.0"]  # noqa: S104 - as in the image
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert done.returncode == 2
    assert "EDGEC_TOKEN" in done.stderr
