"""Deploying to a real SSH server: checked and tested there before the switch."""

import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle.deploy import deploy, roll_back
from pipeline.bundle.pack import BUILDER
from pipeline.bundle.signing import make_keys, sign_bundle
from pipeline.errors import BundleError
from pipeline.progress import Silent
from pipeline.stages.bundle import RUNTIME
from targets.errors import ConnectionCut, DeviceError
from targets.reach.probe import probe
from targets.runtime.bundle.history import switches
from targets.runtime.bundle.signature import PublicKey
from tests.conftest import ROOT
from tests.pipeline.bundle.changed_bundles import (
    IMAGES,
    another_version,
    changed,
    failing_version,
    not_built,
)
from tests.targets.reach.conftest import sshd  # noqa: F401 - a fixture
from tests.targets.reach.sshd import Sshd, needs_sshd

FOLDER = "edgec/resnet20-fashion-reference"


@pytest.fixture
def device(sshd: Sshd, tmp_path: Path) -> Sshd:  # noqa: F811
    """A device whose python3 is this one, with the packages of a device."""
    sshd.give_this_python(tmp_path / "bin")
    return sshd


def current(device: Sshd) -> str:
    return (device.home / FOLDER / "current").resolve().name


@needs_sshd
class TestDeploying:
    def test_it_is_tested_there_and_then_in_use(self, device: Sshd, whole_bundle: Path) -> None:
        done = deploy(device.device, whole_bundle, (), Silent())
        assert (done.folder, done.version) == (FOLDER, current(device))
        assert done.selftest["images"] == 256
        assert (device.home / FOLDER / "current" / "run").is_file()
        assert not list((device.home / "edgec" / "incoming").glob("*.edgec*"))

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            (
                {"target": "host", "runner": "native_runner", "fingerprint": "A / neon / tvm 1"},
                "for host are",
            ),
            (
                {"target": "jetson", "runner": "tensorrt.runner", "fingerprint": "sm_87"},
                "a Jetson is aarch64",
            ),
        ],
    )
    @pytest.mark.skipif(platform.machine() != "x86_64", reason="the device is this machine")
    def test_an_engine_for_another_processor_is_not_sent(
        self, device: Sshd, bundle: Path, fields: dict[str, str], reason: str
    ) -> None:
        with pytest.raises(DeviceError, match=f"cannot run a bundle: it is x86_64, and .*{reason}"):
            deploy(device.device, changed(bundle, lambda _: None, **fields), (), Silent())
        assert not (device.home / "edgec" / "incoming").exists()

    def test_the_devices_python_can_be_chosen(self, device: Sshd, bundle: Path, tmp_path: Path) -> None:
        other = (tmp_path / "bin" / "python3").rename(tmp_path / "bin" / "my-python")
        (tmp_path / "bin" / "python3").write_text("#!/bin/sh\nexit 3\n")
        (tmp_path / "bin" / "python3").chmod(0o755)
        with pytest.raises(DeviceError):
            deploy(device.device, bundle, (), Silent())
        chosen = device.device.address.with_python(str(other))
        done = deploy(replace(device.device, address=chosen), bundle, (), Silent())
        assert done.version == current(device)

    def test_a_second_version_replaces_the_first_and_can_be_taken_back(
        self, device: Sshd, bundle: Path
    ) -> None:
        first = deploy(device.device, bundle, (), Silent()).version
        second = deploy(device.device, another_version(bundle), (), Silent()).version
        assert current(device) == second != first
        assert roll_back(device.device, "resnet20-fashion-reference", (), Silent()).version == first
        assert current(device) == first

    def test_a_version_that_fails_its_test_is_not_switched_to(self, device: Sshd, bundle: Path) -> None:
        first = deploy(device.device, bundle, (), Silent()).version
        with pytest.raises(BundleError, match=rf"failed, so nothing was switched.* 0 of {IMAGES} classes"):
            deploy(device.device, failing_version(bundle), (), Silent())
        assert current(device) == first
        versions = (device.home / FOLDER / "versions").iterdir()
        assert [path.name for path in versions] == [first]

    def test_a_cut_connection_leaves_what_was_and_continues(self, device: Sshd, bundle: Path) -> None:
        first = deploy(device.device, bundle, (), Silent()).version
        second = another_version(bundle)

        class Cutting(Silent):
            def task(self, what: str, total: int | None):  # type: ignore[no-untyped-def]  # noqa: ANN202
                if what.startswith("check"):
                    threading.Thread(target=cut_during_installation).start()
                return super().task(what, total)

        def cut_during_installation() -> None:
            versions = device.home / FOLDER / "versions"
            while len(list(versions.iterdir())) < 2:
                time.sleep(0.01)
            device.cut()

        with pytest.raises(ConnectionCut):
            deploy(device.device, second, (), Cutting())
        assert current(device) == first
        assert deploy(device.device, second, (), Silent()).version == current(device) != first

    def test_two_at_once_both_end_well(self, device: Sshd, bundle: Path) -> None:
        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(deploy, device.device, bundle, (), Silent()) for _ in range(2)]
        assert {one.result().version for one in both} == {current(device)}
        assert not list((device.home / "edgec" / "incoming").glob("*.edgec*"))

    def test_a_lower_release_is_taken_only_on_purpose(
        self, device: Sshd, bundle: Path, tmp_path: Path
    ) -> None:
        make_keys(tmp_path / "release.key")
        newer = another_version(bundle)
        for path, release in ((bundle, 6), (newer, 7)):
            sign_bundle(path, tmp_path / "release.key", release=release)
        deploy(device.device, newer, (), Silent())
        with pytest.raises(BundleError, match=r"is release 6, .* has had release 7\. .*--allow-downgrade"):
            deploy(device.device, bundle, (), Silent())
        deploy(device.device, bundle, (), Silent(), allow_downgrade=True)
        assert [(each.release, each.how) for each in switches(device.home / FOLDER)] == [
            (7, "install"),
            (6, "downgrade"),
        ]

    def test_the_device_refuses_what_its_own_keys_did_not_sign(
        self, device: Sshd, bundle: Path, tmp_path: Path
    ) -> None:
        public = make_keys(tmp_path / "release.key")
        trusted = device.home / ".config" / "edgec" / "keys"
        trusted.mkdir(parents=True)
        shutil.copy(public, trusted)
        with pytest.raises(BundleError, match="not signed"):
            deploy(device.device, bundle, (), Silent())
        assert not (device.home / FOLDER / "versions").exists()
        sign_bundle(bundle, tmp_path / "release.key")
        deploy(device.device, bundle, [PublicKey.read(public)], Silent())
        assert (device.home / FOLDER / "current").exists()

    def test_what_the_device_lacks_is_named_before_anything_is_sent(
        self, device: Sshd, bundle: Path, tmp_path: Path
    ) -> None:
        python = tmp_path / "bin" / "python3"
        python.write_text(f'#!/bin/sh\nexec {Path(sys.base_prefix) / "bin/python3"} -I -S "$@"\n')
        with pytest.raises(
            DeviceError, match=r"NumPy is missing.*OpenCV is missing: apt install .*give --python"
        ):
            deploy(device.device, bundle, (), Silent())
        assert not (device.home / "edgec").exists()

    def test_a_device_without_python_is_named(self, device: Sshd, bundle: Path, tmp_path: Path) -> None:
        (tmp_path / "bin" / "python3").write_text("#!/bin/sh\nexit 127\n")
        with pytest.raises(DeviceError, match="no python3"):
            deploy(device.device, bundle, (), Silent())

    def test_probing_tells_what_the_device_is(self, device: Sshd) -> None:
        facts = probe(device.device)
        assert facts.python == sys.version_info[:3]
        assert facts.numpy == np.__version__
        assert facts.machine == os.uname().machine
        assert facts.missing() == []

    def test_the_commands_do_the_same(
        self, device: Sshd, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config"), "COLUMNS": "200"}

        def edgec(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "pipeline", *arguments]
            return subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )

        address = str(device.address)
        assert edgec("devices", "add", "board", address).returncode == 0
        assert edgec("devices", "list").stdout == f"board  {address}\n"
        assert f"Python {sys.version_info[0]}" in edgec("devices", "check").stdout
        done = edgec("deploy", str(bundle), "--device", "board", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["version"] == current(device)


@needs_sshd
class TestDeployingWhatIsBuiltThere:
    def test_without_a_gpu_it_says_so_in_one_line_and_the_version_in_use_stays(
        self, device: Sshd, bundle: Path
    ) -> None:
        first = deploy(device.device, bundle, (), Silent()).version
        jetson = not_built(bundle, (RUNTIME / BUILDER).read_bytes(), "tensorrt.runner")
        with pytest.raises(BundleError) as error:
            deploy(device.device, jetson, (), Silent())
        said = str(error.value)
        assert said.startswith(
            f"{device.address} did not install the bundle: building the engine here failed, so nothing was"
            " switched: build_on_device: no NVIDIA GPU answers here: "
        )
        assert said.endswith(". Engines for a Jetson are built on the Jetson itself")
        assert "\n" not in said
        assert current(device) == first
        versions = (device.home / FOLDER / "versions").iterdir()
        assert [path.name for path in versions] == [first]

    def test_the_engine_is_built_before_the_self_test_and_the_switch(
        self, device: Sshd, bundle: Path
    ) -> None:
        builder = b"""
from pathlib import Path
here = Path(__file__).parent
assert not (here.parents[1] / "current").exists()
(here / "engine" / "built").touch()
"""
        runner = b"""
from .reference_runner import open_engine as opened
def open_engine(engine, threads):
    if not engine.with_name("built").exists():
        raise ValueError("tested before it was built")
    return opened(engine, threads)
"""
        needs_it = not_built(bundle, builder, "needs_building", needs_building=runner)
        done = deploy(device.device, needs_it, (), Silent())
        assert (device.home / FOLDER / "current" / "engine" / "built").exists()
        assert done.selftest["images"] == IMAGES
