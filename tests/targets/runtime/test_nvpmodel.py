"""Whether a power mode is in force, judged as nvpmodel itself does in what owners of Jetsons published."""

from pathlib import Path

import pytest

from targets.runtime import nvpmodel
from targets.runtime.nvpmodel import PowerMode, limits_not_in_force, power_mode, read_configuration
from tests.targets.runtime.nvpmodel_listings import (
    LISTINGS,
    ORIN_NX_JETPACK_5,
    orin_nano_conf,
    put_in_force,
    write,
    write_listing,
)

GPU = "sys/devices/platform/17000000.gpu/devfreq_dev/max_freq"
PROCESSOR = "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq"
MODES = [PowerMode(0, "15W"), PowerMode(1, "25W"), PowerMode(2, "MAXN_SUPER"), PowerMode(3, "7W")]


@pytest.fixture
def nano(tmp_path: Path) -> Path:
    """An Orin Nano Super with JetPack 6.2."""
    write(tmp_path, "etc/nvpmodel.conf", orin_nano_conf())
    return tmp_path


@pytest.mark.parametrize("listing", LISTINGS.values(), ids=LISTINGS)
def test_on_the_devices_that_owners_published_every_limit_is_in_force(tmp_path: Path, listing: str) -> None:
    """Though values differ: power control is switched twice, clocks are rounded, masks are the chip's."""
    write_listing(tmp_path, listing)
    (mode,) = read_configuration(tmp_path).modes
    assert limits_not_in_force(mode.number, tmp_path) == []


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_each_mode_is_told_from_each_other(nano: Path, mode: PowerMode) -> None:
    assert list(read_configuration(nano).modes) == MODES
    put_in_force(nano, mode.name)
    assert [one for one in MODES if not limits_not_in_force(one.number, nano)] == [mode]


@pytest.mark.parametrize(
    ("path", "value", "difference"),
    [
        (GPU, "408000000", "GPU MAX_FREQ is 408000000, not 918000000"),
        (PROCESSOR, "960000", "CPU_A78_0 MAX_FREQ is 960000, not 1344000"),
        ("sys/devices/system/cpu/cpu5/online", "0", "CPU_ONLINE CORE_5 is 0, not 1"),
        ("sys/kernel/nvpmodel_clk_cap/emc", "2133000000", "EMC MAX_FREQ is 2133000000, not 3199000000"),
        ("sys/devices/platform/gpu.0/tpc_pg_mask", "252", "TPC_POWER_GATING TPC_PG_MASK is 252, not 240"),
    ],
)
def test_a_limit_that_another_program_changed_is_named(
    nano: Path, path: str, value: str, difference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_force(nano, "25W")
    write(nano, path, value)
    assert limits_not_in_force(1, nano) == [difference]
    monkeypatch.setattr(nvpmodel, "output_of", lambda _: "NV Power Mode: 25W\n1\n")
    assert power_mode(nano) == f"25W, not in force ({difference})"


@pytest.mark.parametrize(("real", "agrees"), [(306, False), (816, True), (1020, True), (1300, False)])
def test_a_limit_between_two_clocks_of_the_table_is_in_force_at_both(
    nano: Path, real: int, agrees: bool
) -> None:
    """The kernel rounds to a clock that it has, up or down by its version."""
    put_in_force(nano, "25W")  # whose GPU may run at 918 MHz
    write(
        nano, str(Path(GPU).with_name("available_frequencies")), "306000000 816000000 1020000000 1300000000"
    )
    write(nano, GPU, f"{real}000000")
    assert (limits_not_in_force(1, nano) == []) == agrees


def test_without_a_limit_the_highest_clock_of_the_table_is_in_force(nano: Path) -> None:
    put_in_force(nano, "MAXN_SUPER")
    write(nano, GPU, "918000000")
    assert limits_not_in_force(2, nano) == ["GPU MAX_FREQ is 918000000, not 1020000000, the highest"]


def test_what_cannot_be_read_is_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user may not read the memory's clock of JetPack 5; a container has neither file nor program."""
    write_listing(tmp_path, ORIN_NX_JETPACK_5)
    (tmp_path / "sys/devices/17000000.ga10b/devfreq_dev/max_freq").unlink()
    assert limits_not_in_force(3, tmp_path) == []
    monkeypatch.setattr(nvpmodel, "output_of", lambda _: "NV Fan Mode:quiet\nNV Power Mode: MAXN\n0\n")
    assert power_mode(tmp_path / "none") == "MAXN"
    monkeypatch.setattr(nvpmodel, "output_of", lambda _: "")
    assert power_mode(tmp_path) == ""
