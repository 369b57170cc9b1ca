"""What boards draw, read from their sensors as they are published."""

import time
from pathlib import Path

import pytest

from targets.runtime.sustained.power_meter import (
    HwmonMeter,
    TegrastatsMeter,
    find_meter,
    hwmon_rails,
    pmic_watts,
    tegrastats_rails,
)
from tests.targets.runtime.sustained.boards import (
    PMIC_PI5,
    TEGRASTATS_AGX_ORIN,
    TEGRASTATS_JETPACK_7_2,
    TEGRASTATS_ORIN_NANO,
    TEGRASTATS_THOR,
    TEGRASTATS_XAVIER,
    ina3221,
    write,
)

HWMON = "sys/class/hwmon"


def test_an_orin_nano_is_fed_through_one_rail(tmp_path: Path) -> None:
    ina3221(tmp_path / HWMON / "hwmon1", {1: "VDD_IN", 2: "VDD_CPU_GPU_CV", 3: "VDD_SOC"}, 1500, 5000)
    write(tmp_path / HWMON / "hwmon0/name", "pwmfan")
    write(tmp_path / HWMON / "hwmon0/curr1_input", "900")
    meter = find_meter(tmp_path)
    assert isinstance(meter, HwmonMeter)
    assert (meter.rails, meter.watts()) == ("rail VDD_IN", 7.5)


def test_an_agx_orin_has_no_such_rail_so_its_rails_are_added_up(tmp_path: Path) -> None:
    ina3221(tmp_path / HWMON / "hwmon2", {1: "VDD_GPU_SOC", 2: "VDD_CPU_CV", 3: "VIN_SYS_5V0"}, 100, 5000)
    ina3221(tmp_path / HWMON / "hwmon10", {1: "NC", 2: "VDDQ_VDD2_1V8AO", 3: "NC"}, 100, 5000)
    meter = find_meter(tmp_path)
    assert meter is not None
    assert meter.rails == "sum of the rails VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0, VDDQ_VDD2_1V8AO"
    assert meter.watts() == pytest.approx(0.5 + 1.0 + 1.5 + 1.0)


def test_a_monitor_that_computes_power_is_believed(tmp_path: Path) -> None:
    """The INA238 of a Thor and the INA226 of some RK3588 boards."""
    folder = tmp_path / HWMON / "hwmon3"
    write(folder / "name", "ina238")
    write(folder / "in0_input", "3")
    for name, value in (("in1_input", "12000"), ("curr1_input", "2000"), ("power1_input", "25000000")):
        write(folder / name, value)
    (rail,) = hwmon_rails(tmp_path)
    assert (rail.name, rail.watts()) == ("ina238 1", 25.0)


def test_the_input_of_a_thor_is_not_added_to_the_rails_that_it_feeds(tmp_path: Path) -> None:
    """The kernel gives its monitor no label: the sum counted everything twice."""
    rails = {1: "VDD_GPU", 2: "VDD_CPU_SOC_MSS", 3: "VIN_SYS_5V0"}
    ina3221(tmp_path / HWMON / "hwmon1", rails, 1000, 5000)
    for name, value in (("name", "ina238"), ("power1_input", "45000000")):
        write(tmp_path / HWMON / "hwmon4" / name, value)
    write(tmp_path / "proc/device-tree/compatible", "nvidia,p4071-0000+p3834-0008\0nvidia,tegra264")
    meter = find_meter(tmp_path)
    assert meter is not None
    assert (meter.rails, meter.watts()) == ("rail VIN", 45.0)


def test_a_sensor_that_may_not_be_read_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    ina3221(tmp_path / HWMON / "hwmon1", {1: "VDD_IN"}, 1500, 5000)
    write(tmp_path / HWMON / "hwmon1/curr1_input", "no number")
    assert find_meter(tmp_path) is None


def test_a_rail_that_stops_to_answer_leaves_no_sum(tmp_path: Path) -> None:
    ina3221(tmp_path / HWMON / "hwmon1", {1: "GPU", 2: "CPU"}, 100, 5000)
    meter = find_meter(tmp_path)
    assert meter is not None
    (tmp_path / HWMON / "hwmon1/curr2_input").unlink()
    assert meter.watts() is None


@pytest.mark.parametrize(
    ("line", "rails"),
    [
        (TEGRASTATS_ORIN_NANO, {"VDD_IN": 12.48, "VDD_CPU_GPU_CV": 5.98, "VDD_SOC": 2.31}),
        (
            TEGRASTATS_AGX_ORIN,
            {"VDD_GPU_SOC": 2.385, "VDD_CPU_CV": 0.397, "VIN_SYS_5V0": 3.328, "VDDQ_VDD2_1V8AO": 0.604},
        ),
        (
            TEGRASTATS_XAVIER,
            {"GPU": 5.0, "CPU": 1.5, "SOC": 2.3, "CV": 0.0, "VDDRQ": 0.9, "SYS5V": 2.5},
        ),
        (
            TEGRASTATS_THOR,
            {"VDD_GPU": -0.392, "VDD_CPU_SOC_MSS": 3.924, "VIN_SYS_5V0": 6.52, "VIN": 23.0},
        ),
        (TEGRASTATS_JETPACK_7_2, {"VDD_GPU_SOC": 5.139, "VDD_CPU_CV": 3.268, "VIN_SYS_5V0": 5.5}),
        ("", {}),
    ],
    ids=["orin nano", "agx orin", "xavier", "thor", "jetpack 7.2", "nothing"],
)
def test_tegrastats_is_read_in_the_words_of_every_version(line: str, rails: dict[str, float]) -> None:
    assert tegrastats_rails(line) == rails


def test_where_the_kernel_shows_nothing_the_newest_line_of_tegrastats_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines waited in the pipe of a reader that was slow: idle power was read as that of the load."""
    program, printed, busy = (tmp_path / name for name in ("tegrastats", "printed", "busy"))
    idle, load = "VDD_IN 3000mW/3000mW", TEGRASTATS_ORIN_NANO
    program.write_text(
        f"#!/bin/sh\necho '{idle}'\nwhile [ ! -e {busy} ]; do :; done\n"
        f"for i in 1 2 3 4 5 6 7 8 9; do echo '{idle}'; done\necho '{load}'\n"
        f"/bin/head -c 200000 /dev/zero\n: >{printed}\nexec /bin/sleep 600\n"  # more than a pipe holds
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    meter = find_meter(tmp_path / "root")
    assert isinstance(meter, TegrastatsMeter)
    assert meter.rails == "VDD_IN, by tegrastats"
    busy.touch()
    for _ in range(5000):
        if printed.exists():
            break
        time.sleep(0.001)
    assert meter.watts() == 12.48
    meter.close()
    assert meter.watts() is None


def test_a_raspberry_pi_5_adds_up_what_has_a_current_and_a_voltage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = 0.00389424 * 3.723939 + 0.09271552 * 3.31145 + 1.53 * 0.72123
    assert pmic_watts(PMIC_PI5) == pytest.approx(wanted)
    assert pmic_watts('error=1 error_msg="Command not registered"') is None  # of a Pi 4
    program = tmp_path / "vcgencmd"
    program.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{PMIC_PI5}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    meter = find_meter(tmp_path / "root")
    assert meter is not None
    assert meter.watts() == pytest.approx(wanted)
