import datetime
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from targets.runtime.board_check import BoardFinding, findings
from tests.targets.tensorrt.jetpacks import RECORDINGS


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Raspberry Pi whose files a test writes."""
    files = {
        "proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\nSwapFree: 102400 kB\n",
        "proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/class/thermal/thermal_zone0/temp": "51000\n",
    }
    for name, text in files.items():
        write(tmp_path, name, text)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def found(root: Path) -> dict[str, BoardFinding]:
    return {finding.what: finding for finding in findings(root)}


def test_a_board_that_lacks_nothing_is_fine(board: Path) -> None:
    results = found(board)
    assert [what for what, one in results.items() if one.fine is False] == []
    assert results["memory"].found == "3906 MiB free, 100 MiB of swap"
    assert results["heat"].found == "51 degrees Celsius"
    assert results["governor"].command.startswith("echo performance | sudo tee /sys/")
    assert "GPU" not in results


@pytest.mark.parametrize(
    ("name", "title", "command"),
    [
        ("numpy", "NumPy", "sudo apt install python3-numpy"),
        ("cv2", "OpenCV", "sudo apt install python3-opencv"),
    ],
)
def test_a_package_that_is_missing_or_broken_is_named_with_its_command(
    board: Path, monkeypatch: pytest.MonkeyPatch, name: str, title: str, command: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    assert found(board)[title].fine is False
    assert found(board)[title].command == command
    monkeypatch.setitem(sys.modules, name, ModuleType(name))  # without a version
    assert found(board)[title].fine is False


def test_low_voltage_is_a_fault_and_the_firmware_s_words_are_shown(board: Path) -> None:
    write(board, "sys/devices/platform/soc/soc:firmware/get_throttled", "50001")
    held = found(board)["throttled"]
    assert held.fine is False
    assert held.found == "51 degrees Celsius, under-voltage, under-voltage since boot, throttled since boot"


def test_little_memory_is_a_fault(board: Path) -> None:
    write(board, "proc/meminfo", "MemAvailable: 204800 kB\n")
    assert found(board)["memory"] == BoardFinding(
        "memory", "200 MiB free, 0 MiB of swap", False, "sudo systemctl isolate multi-user.target"
    )


def test_a_full_disk_is_a_fault(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=1000, f_frsize=1 << 20))
    assert found(board)["disk"].fine is False
    assert found(board)["disk"].found.startswith("1000 MiB free")


def test_a_board_that_believes_in_1970_is_told_how_to_get_the_date(board: Path) -> None:
    results = findings(board, datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC))
    assert BoardFinding("date", "1970-01-01", False, "sudo timedatectl set-ntp true") in results


def test_a_camera_that_this_user_may_not_open_is_a_fault(
    board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(board)["cameras"].found == "none"
    write(board, "dev/video0", "")
    assert found(board)["cameras"].found == "video0"
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(Path, "group", lambda _: "video")
    cameras = found(board)["cameras"]
    assert cameras.fine is False
    assert cameras.command.startswith("sudo usermod --append --groups video ")


class TestAJetson:
    @pytest.fixture
    def jetson(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        RECORDINGS["6.2"].write(tmp_path)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        return tmp_path

    def test_is_asked_about_its_gpu_tensorrt_clocks_and_power_mode(self, jetson: Path) -> None:
        results = found(jetson)
        assert results["module"].found.startswith("NVIDIA Jetson Orin Nano Engineering Reference")
        assert results["power mode"].found == "MAXN_SUPER"
        assert results["clocks"].fine is True
        assert results["TensorRT"].fine is False
        assert results["TensorRT"].command == "sudo apt install nvidia-jetpack"

    def test_whose_sudo_asks_for_a_password_gets_the_line_to_add(self, jetson: Path) -> None:
        (jetson / "bin/sudo").write_text("#!/bin/sh\nexit 1\n")
        clocks = found(jetson)["clocks"]
        assert clocks.fine is False
        assert clocks.command.endswith(
            f"NOPASSWD: {jetson}/bin/jetson_clocks' | sudo tee /etc/sudoers.d/edgec"
        )

    def test_with_little_memory_to_build_gets_swap(self, jetson: Path) -> None:
        write(jetson, "proc/meminfo", "MemTotal: 7802572 kB\nMemAvailable: 2048000 kB\nSwapFree: 0 kB\n")
        memory = found(jetson)["memory"]
        assert (memory.fine, memory.found) == (False, "2000 MiB free, 0 MiB of swap: little to build with")
        assert "mkswap /swapfile" in memory.command

    def test_needs_an_opencv_with_gstreamer_for_its_ribbon_camera(
        self, jetson: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        without = SimpleNamespace(__version__="4.10", getBuildInformation=lambda: "    GStreamer:      NO\n")
        monkeypatch.setitem(sys.modules, "cv2", without)
        assert found(jetson)["OpenCV's cameras"].fine is False
        assert found(jetson)["OpenCV's cameras"].command.startswith("pip uninstall opencv-python")
        has = SimpleNamespace(
            __version__="4.6", getBuildInformation=lambda: "    GStreamer:   YES (1.22.0)\n"
        )
        monkeypatch.setitem(sys.modules, "cv2", has)
        assert found(jetson)["OpenCV's cameras"].fine is None
