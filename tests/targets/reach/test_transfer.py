"""Files arrive whole or not at all, and a cut connection costs only what was not yet sent."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from targets.errors import ConnectionCut, DeviceCommandFailed, DeviceDiskFull, TargetError
from targets.reach.transfer import BLOCK, file_digest
from tests.targets.reach.sshd import Sshd, needs_sshd

pytestmark = needs_sshd


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a file's name"
    path.write_bytes(os.urandom(3_000_000))
    return path


def test_a_file_arrives_where_it_belongs(sshd: Sshd, file: Path) -> None:
    sshd.device.send(file, "deep/inside/it's here")
    assert (sshd.home / "deep/inside/it's here").read_bytes() == file.read_bytes()
    assert [path.name for path in (sshd.home / "deep/inside").iterdir()] == ["it's here"]


def test_programs_stay_programs(sshd: Sshd, file: Path) -> None:
    sshd.device.send(file, "data")
    file.chmod(0o755)
    sshd.device.send(file, "program")
    assert os.access(sshd.home / "program", os.X_OK)
    assert not os.access(sshd.home / "data", os.X_OK)


def test_a_file_that_is_there_is_left_alone(sshd: Sshd, file: Path) -> None:
    sshd.device.send(file, "there")
    before = (sshd.home / "there").stat()
    sshd.device.send(file, "there")
    assert (sshd.home / "there").stat().st_ino == before.st_ino


def test_another_file_of_that_name_is_replaced(sshd: Sshd, file: Path) -> None:
    (sshd.home / "there").write_bytes(b"old")
    sshd.device.send(file, "there")
    assert file_digest(sshd.home / "there") == file_digest(file)


def test_a_cut_connection_continues_where_it_stopped(sshd: Sshd, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(40_000_000))
    part = sshd.home / f"there.{file_digest(large)}.part"
    sent = 0

    def cut_in_the_middle(count: int) -> None:
        nonlocal sent
        before, sent = sent, sent + count
        if before < 20_000_000 <= sent:
            sshd.cut()

    with pytest.raises(ConnectionCut):
        sshd.device.send(large, "there", cut_in_the_middle)
    assert not (sshd.home / "there").exists()
    kept = part.stat().st_size
    assert 0 < kept < large.stat().st_size
    steps: list[int] = []
    sshd.device.send(large, "there", steps.append)
    assert steps[0] == kept // BLOCK * BLOCK
    assert sum(steps) == large.stat().st_size
    assert file_digest(sshd.home / "there") == file_digest(large)


def test_a_damaged_part_is_sent_again_from_the_beginning(sshd: Sshd, file: Path) -> None:
    (sshd.home / f"there.{file_digest(file)}.part").write_bytes(b"damaged")
    sshd.device.send(file, "there")
    assert file_digest(sshd.home / "there") == file_digest(file)
    assert [path.name for path in sshd.home.iterdir()] == ["there"]


@pytest.mark.parametrize("step", ["chmod", "mv"])
def test_another_sender_of_the_same_file_may_be_quicker(
    sshd: Sshd, file: Path, tmp_path: Path, step: str
) -> None:
    """The other sender moves the file into place just before this one would."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    part = f"there.{file_digest(file)}.part"
    (bin_folder / step).write_text(
        f'#!/bin/sh\n/bin/mv {part} there 2>/dev/null\nPATH=/bin:/usr/bin exec {step} "$@"\n'
    )
    (bin_folder / step).chmod(0o755)
    sshd.use_path(bin_folder)
    sshd.device.send(file, "there")
    assert file_digest(sshd.home / "there") == file_digest(file)
    assert [path.name for path in sshd.home.iterdir()] == ["there"]


@pytest.fixture
def small_disk(sshd: Sshd) -> Iterator[Path]:
    """A file system with room for one megabyte."""
    folder = sshd.home / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_named(sshd: Sshd, file: Path, small_disk: Path) -> None:
    with pytest.raises(DeviceDiskFull, match="no room for small/there"):
        sshd.device.send(file, "small/there")
    assert not (small_disk / "there").exists()


def test_a_full_disk_is_told_from_what_the_device_says(sshd: Sshd, file: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    dd = tmp_path / "bin" / "dd"
    dd.write_text("#!/bin/sh\nexec /bin/dd obs=65536 >/dev/full\n")
    dd.chmod(0o755)
    sshd.use_path(tmp_path / "bin")
    with pytest.raises(DeviceDiskFull):
        sshd.device.send(file, "there")


def test_a_place_that_cannot_be_written_is_named(sshd: Sshd, file: Path) -> None:
    with pytest.raises(DeviceCommandFailed, match="/dev/null/there"):
        sshd.device.send(file, "/dev/null/there")


def test_a_file_that_is_not_here_is_named(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="none cannot be read"):
        sshd.device.send(tmp_path / "none", "there")


def test_a_file_is_fetched(sshd: Sshd, file: Path, tmp_path: Path) -> None:
    sshd.device.send(file, "it's there")
    sshd.device.fetch("it's there", tmp_path / "new folder" / "back")
    assert file_digest(tmp_path / "new folder" / "back") == file_digest(file)


def test_a_file_that_is_not_there_is_named(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(DeviceCommandFailed, match="none"):
        sshd.device.fetch("none", tmp_path / "back")
    assert not (tmp_path / "back").exists()
