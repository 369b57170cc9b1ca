"""Packages for a Jetson over SSH: a script builds what Triton and DeepStream open, and a container starts.

The programs in the container's bundle are stand-ins: test_bundle_there.py runs the real ones.
"""

import hashlib
import subprocess
from pathlib import Path

import pytest

from pipeline.packages.write import write_packages
from targets.runtime.tensorrt.build_plan import FLAGS, TYPED
from tests.pipeline.packages.conftest import MakeBundle, jetson_files, make_bundle
from tests.targets.reach.sshd import Sshd, needs_sshd
from tests.targets.tensorrt.jetson_over_ssh.jetson_steps import VERSIONS
from tests.targets.tensorrt.loopback import install

__all__ = ["jetson_files", "make_bundle"]  # fixtures
PLANS = {"triton": "models/tiny/1/model.plan", "deepstream": "model.plan"}


@needs_sshd
@pytest.mark.slow
@pytest.mark.parametrize("jetpack", VERSIONS)
def test_what_a_package_runs_on_the_device_runs_there(
    sshd: Sshd, unpacked: dict[str, Path], make_bundle: MakeBundle, tmp_path: Path, jetpack: str
) -> None:
    sshd.use_path(install(sshd.folder / "jetson", jetpack, unpacked[jetpack]))
    graph = FLAGS if VERSIONS[jetpack].startswith("8") else TYPED
    for folder in write_packages(make_bundle(), [*PLANS, "container"], tmp_path / "packages"):
        packed = tmp_path / f"{folder.name}.tar"
        subprocess.run(["tar", "-cf", packed, "-C", folder.parent, folder.name], check=True)
        sshd.device.send(packed, packed.name)
        assert sshd.device.run(["tar", "-xf", packed.name]).returncode == 0
        if folder.name == "container":
            image, volume = f"EDGEC_IMAGE_FOLDER={sshd.home}/container/bundle", f"EDGEC_ENGINES={sshd.home}"
            done = sshd.device.run(["env", image, volume, "container/start.sh", "selftest"])
            assert done.stdout.startswith("ran selftest in "), done.stderr
            continue
        done = sshd.device.run([f"{folder.name}/build_engine.sh"])
        assert done.returncode == 0, done.stdout + done.stderr
        plan = (sshd.home / folder.name / PLANS[folder.name]).read_bytes()
        built_from = hashlib.sha256((folder / "build" / graph).read_bytes()).hexdigest().encode()
        assert plan == b"plan of " + built_from + b" for 1,1,8"
        assert f"TensorRT {VERSIONS[jetpack]}" in done.stdout
