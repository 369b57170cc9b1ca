"""What the programs of a bundle advise on the device: a module, an option, another right."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.bundle.contents import opened
from targets.runtime import build_on_device, run
from targets.runtime.board_check import BoardFinding, findings
from targets.runtime.bundle import install
from targets.runtime.demo import camera
from targets.runtime.demo.recogniser import Recogniser
from targets.runtime.picture_values import what_is_not_decoded
from targets.runtime.preprocess import ImageError, Preprocessing, decode
from targets.runtime.sustained.load import Load, sustained_p90
from targets.runtime.sustained.soak import Soaked, judge, main
from targets.runtime.tensorrt import gpu_access
from targets.runtime.tensorrt.clocks import locked_clocks
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.data.pictures import png, random_pixels
from tests.targets.tensorrt.jetpacks import RECORDINGS

Said = pytest.CaptureFixture[str]


def ended(program: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program by an interpreter without packages, which has the modules in the folder `brought`."""
    place = {"PATH": os.environ["PATH"], "PYTHONPATH": str(program.parent / "brought")}
    command = [sys.executable, "-S", str(program), *arguments]
    return subprocess.run(command, env=place, capture_output=True, text=True, check=False)


def installed(program: Path, module: str) -> None:
    (program.parent / "brought").mkdir()
    (program.parent / "brought" / f"{module}.py").write_text("")


def test_installing_what_run_lacks_helps(tmp_path: Path) -> None:
    program = Path(shutil.copy(run.__file__, tmp_path / "run"))
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "classify.py").write_text("import cv2\ndef main(*_): return 0\n")
    first = ended(program, "picture.jpg")
    assert first.returncode == 1
    assert " has no module cv2. Install it: " in first.stderr
    assert first.stderr.startswith("run: ")
    assert " has no module " in first.stderr
    installed(program, "cv2")
    assert ended(program, "picture.jpg").returncode == 0


def test_installing_what_the_builder_lacks_and_trying_again_helps(tmp_path: Path) -> None:
    program = Path(shutil.copy(build_on_device.__file__, tmp_path / "build_on_device.py"))
    place = tmp_path / "runtime" / "tensorrt"
    place.mkdir(parents=True)
    (place / "device_build.py").write_text("import numpy\ndef main(folder): return 0\n")
    first = ended(program)
    words = "build_on_device: the Python module numpy is missing. Install it and try again."
    assert (first.returncode, first.stderr.strip()) == (1, words)
    installed(program, "numpy")
    assert ended(program).returncode == 0


@pytest.fixture
def bundle(out: Path) -> Path:
    (made,) = out.glob("*.edgec")
    return made


def test_a_bundle_or_one_of_the_options_helps_the_installer(
    bundle: Path, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "run_selftest", lambda _: {})
    into = ["--into", str(tmp_path / "into")]
    with pytest.raises(SystemExit):
        install.main(into)
    assert "give a bundle, --rollback, --recover or --keys" in capsys.readouterr().err
    assert install.main([str(bundle), *into]) == 0
    assert install.main(["--recover", *into]) == 0


def test_the_float_model_helps_to_compare_in_the_demo(
    bundle: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(bundle) as held:
        for name, data in held.contents().items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(data)
    shown: list[camera.Demo] = []

    def keep(demo: camera.Demo, _: object) -> int:
        shown.append(demo)
        return 0

    monkeypatch.setattr(camera, "run", keep)
    (model,) = out.glob("*/model.onnx")
    camera.main(tmp_path, [])
    words = "give the float model with --fp32 model.onnx (it needs onnxruntime) to compare."
    assert shown[-1].missing == {"fp32": words}
    camera.main(tmp_path, ["--fp32", str(model)])
    demo = shown[-1]
    steps = Preprocessing(**demo.manifest.preprocessing)
    with Recogniser({"fp32": demo.engines["fp32"]}, demo.manifest.classes, steps) as recogniser:
        assert recogniser.for_camera()(random_pixels(1, side=28)[0]).classes
    assert demo.missing == {}


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_converting_a_picture_helps(ending: str) -> None:
    """An icon holds a PNG as it is, behind a header of 22 bytes."""
    inside = png(random_pixels(1)[0])
    header = (
        b"\0\0\1\0\1\0\4\4\0\0\1\0\x18\0" + len(inside).to_bytes(4, "little") + (22).to_bytes(4, "little")
    )
    given = [header + inside]
    words = "a Windows icon (ICO), which OpenCV cannot decode; convert it to PNG or JPEG"
    assert what_is_not_decoded(given[0]) == words

    def heed() -> None:
        pixels = cv2.imdecode(np.frombuffer(given[0][22:], np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        given.append(cv2.imencode(ending, pixels)[1].tobytes())

    check_advice(words, lambda: decode(given[-1], 3), heed, ImageError)


FOUND = Soaked(60.0, 100, 10.0, (5.0, 4.9, 5.1), None, None, {}, None, "no sensor")


def of_minutes(minutes: float) -> Soaked:
    """What follows from runs of 10 ms, one after the other."""
    began = np.arange(0, 60 * minutes, 0.01)
    load = Load(60 * minutes, 1, began, np.full(len(began), 10.0), (), ())
    found = sustained_p90(load)
    return replace(FOUND, sustained_p90_ms=found and (found.value, found.low, found.high))


def test_running_it_longer_decides_what_is_sustained(capsys: Said) -> None:
    code, said = judge(of_minutes(0.01), 12.0)
    assert code == 3
    assert ": not decided, it is " in said
    assert said.endswith("unbounded]. Run it longer: --minutes")
    assert judge(of_minutes(1.0), 12.0)[0] == 0
    with pytest.raises(SystemExit):
        main(Path(), ["--help"])
    assert "--minutes MINUTES" in capsys.readouterr().out


def as_root(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(os, "geteuid", lambda: 0)
    patch.setattr(os, "chown", lambda *_: None)


def locked_before(device: Path, _: pytest.MonkeyPatch) -> None:
    for folder, names in (
        ("sys/class/devfreq/17000000.gpu", ("min_freq", "max_freq")),
        ("sys/devices/system/cpu/cpufreq/policy0", ("scaling_min_freq", "scaling_max_freq")),
    ):
        (device / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (device / folder / name).write_text("1300500000\n")


def allowed(device: Path, _: pytest.MonkeyPatch) -> None:
    """As the rule does it: sudo asks for no password."""
    (device / "bin" / "sudo").write_text('#!/bin/sh\nshift\nexec "$@"\n')


@pytest.mark.parametrize("way", [as_root, locked_before, allowed])
def test_root_locked_clocks_or_a_rule_help_to_lock_clocks(
    way: Callable[[Path, pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RECORDINGS["6.2"].write(tmp_path)
    (tmp_path / "bin" / "sudo").write_text("#!/bin/sh\nexit 1\n")  # as JetPack sets it up
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said: list[str] = []
    with locked_clocks(tmp_path / "saved", said.append, tmp_path) as locked:
        assert not locked
    assert "that needs root. Run this with sudo, run `sudo jetson_clocks` before, or let " in said[0]
    way(tmp_path, monkeypatch)
    with locked_clocks(tmp_path / "saved", said.append, tmp_path) as locked:
        assert locked


def test_sudo_helps_where_device_files_belong_to_root_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvmap").touch()
    users = [1000]
    monkeypatch.setattr(os, "access", lambda *_: users[-1] == 0)
    monkeypatch.setattr(Path, "group", lambda _: "root")
    said = gpu_access.explanation(tmp_path)
    assert said.endswith(", which belong to root alone: run this with sudo")
    users.append(0)
    assert gpu_access.explanation(tmp_path) == ""


def throttled(root: Path) -> BoardFinding | None:
    return next((one for one in findings(root) if one.what == "throttled"), None)


def test_a_power_supply_of_its_own_helps_a_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the firmware of a Raspberry Pi reports low voltage, and nothing after a boot with enough of it."""
    files = {
        "proc/meminfo": "MemAvailable: 4000000 kB\nSwapFree: 102400 kB\n",
        "proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50001",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = throttled(tmp_path)
    assert found is not None
    assert found.command == "Give it its own power supply and a heat sink or fan"
    (tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled").write_text("0")
    assert throttled(tmp_path) is None
