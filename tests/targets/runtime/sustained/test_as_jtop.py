"""What we read of a Jetson beside what jtop reads: its genuine parsers, from the wheel of jetson-stats."""

import importlib
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from targets.runtime import nvpmodel
from targets.runtime.sustained.power_meter import WHOLE, find_meter, hwmon_rails, tegrastats_rails
from tests.targets.runtime.nvpmodel_listings import install_modes
from tests.targets.runtime.sustained import boards
from tests.targets.tensorrt.bindings import wheel
from tests.targets.tensorrt.jetpacks import RECORDINGS

MODULES = ("tegra_parse", "power", "common", "nvpmodel", "command", "exceptions")
RAILS = {
    "orin nano": [({1: "VDD_IN", 2: "VDD_CPU_GPU_CV", 3: "VDD_SOC"}, 1500)],
    "agx orin": [
        ({1: "VDD_GPU_SOC", 2: "VDD_CPU_CV", 3: "VIN_SYS_5V0"}, 100),
        ({1: "NC", 2: "VDDQ_VDD2_1V8AO", 3: "NC"}, 70),
    ],
    "thor": [({1: "VDD_GPU", 2: "VDD_CPU_SOC_MSS", 3: "VIN_SYS_5V0"}, 1000)],
}


@pytest.fixture(scope="module")
def jtop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Its modules that parse, without those that need a Jetson's libraries."""
    found = wheel("jetson_stats-7.2.2")
    if found is None:
        pytest.skip("jetson-stats is not here: run scripts/tensorrt_wheels.sh")
    folder = tmp_path_factory.mktemp("jtop")
    with zipfile.ZipFile(found) as packed:
        for name in MODULES:
            packed.extract(f"jtop/core/{name}.py", folder)
    for package in ("jtop", "jtop/core"):
        (folder / package / "__init__.py").touch()
    sys.path.insert(0, str(folder))
    yield SimpleNamespace(**{name: importlib.import_module(f"jtop.core.{name}") for name in MODULES})
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.split(".")[0] == "jtop"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "line",
    [getattr(boards, name) for name in dir(boards) if name.startswith("TEGRASTATS_") and "THOR" not in name],
)
def test_the_rails_of_a_line_of_tegrastats_are_jtop_s(jtop: SimpleNamespace, line: str) -> None:
    theirs = {
        name: found["cur"] / 1000 for name, found in jtop.tegra_parse.WATTS(line).items() if name != "NC"
    }
    assert len(theirs) >= 3
    assert tegrastats_rails(line) == theirs


def test_of_a_thor_s_line_we_also_read_the_rail_below_zero(jtop: SimpleNamespace) -> None:
    theirs = jtop.tegra_parse.WATTS(boards.TEGRASTATS_THOR)
    ours = tegrastats_rails(boards.TEGRASTATS_THOR)
    assert ours.keys() - theirs.keys() == {"VDD_GPU"}
    assert ours["VIN"] == theirs["VIN"]["cur"] / 1000


@pytest.mark.parametrize("board", RAILS)
def test_the_power_of_a_board_is_jtop_s(jtop: SimpleNamespace, board: str, tmp_path: Path) -> None:
    devices, classes = tmp_path / "sys/bus/i2c/devices", tmp_path / "sys/class/hwmon"
    classes.mkdir(parents=True)
    for number, (labels, current) in enumerate(RAILS[board]):
        _monitor(devices, classes, number, "ina3221")
        boards.ina3221(classes / f"hwmon{number}", labels, current, 5000)
    if board == "thor":
        folder = _monitor(devices, classes, 7, "ina238")
        for name, value in (("in1_input", "20000"), ("curr1_input", "2250"), ("power1_input", "45000000")):
            boards.write(folder / name, value)
        boards.write(tmp_path / "proc/device-tree/compatible", "nvidia,p3834-0008\0nvidia,tegra264")
    sensors = jtop.power.find_all_i2c_power_monitor(str(devices))
    read = {name: jtop.power.read_power_status(one) for name, one in sensors.items()}
    theirs = {name: one.get("power", one["volt"] * one["curr"] // 1000) for name, one in read.items()}
    assert {rail.name: round(1000 * (rail.watts() or 0)) for rail in hwmon_rails(tmp_path)} == theirs
    total, _ = jtop.power.total_power(
        {name: {"power": power, "avg": power} for name, power in theirs.items()}
    )
    meter = find_meter(tmp_path)
    assert meter is not None
    assert round(1000 * (meter.watts() or 0)) == total["power"]
    assert ("name" in total) == any(f"rail {name}" == meter.rails for name in WHOLE)


def _monitor(devices: Path, classes: Path, number: int, name: str) -> Path:
    """A monitor where drivers have it, with the link that hwmon has to it."""
    folder = devices / f"1-004{number}/hwmon/hwmon{number}"
    boards.write(folder / "name", name)
    boards.write(devices / f"1-004{number}/name", name)
    (classes / f"hwmon{number}").symlink_to(folder)
    return folder


@pytest.mark.parametrize("jetpack", RECORDINGS)
def test_the_power_mode_is_jtop_s(
    jtop: SimpleNamespace, jetpack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RECORDINGS[jetpack].write(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    for _ in range(2):
        mode = nvpmodel.asked_mode()
        assert mode is not None
        assert {"name": mode.name, "id": mode.number} == jtop.nvpmodel.nvpmodel_query()
        install_modes(tmp_path, "6")
