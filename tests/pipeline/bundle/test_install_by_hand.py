"""Installing without SSH needs only the installer and the bundle."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.bundle.deploy import installer
from targets.runtime.bundle import install
from tests.pipeline.bundle.changed_bundles import changed


def test_installing_by_hand_needs_the_installer_and_the_bundle_alone(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "install.pyz").write_bytes(installer())
    assert installer() == installer()
    command = [sys.executable, "-I", "install.pyz", bundle.name, "--into", "here"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "resnet20-fashion"
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert json.loads(again.stdout) == json.loads(done.stdout)


def test_only_a_few_versions_stay(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "run_selftest", lambda _: {})
    made = []
    for number in range(6):
        version = changed(bundle, lambda files, n=number: files.update({"labels.txt": b"%d" % n}))  # type: ignore[misc]
        made.append(install.install(version, tmp_path / "into")["version"])
    assert sorted(path.name for path in (tmp_path / "into" / "versions").iterdir()) == sorted(made[-3:])
    assert (tmp_path / "into" / "previous").resolve().name == made[-2]


def test_a_version_damaged_on_the_disk_is_unpacked_again(bundle: Path, tmp_path: Path) -> None:
    version = install.install(bundle, tmp_path / "into")["version"]
    (tmp_path / "into" / "versions" / version / "labels.txt").write_text("damaged")
    assert install.install(bundle, tmp_path / "into")["version"] == version
