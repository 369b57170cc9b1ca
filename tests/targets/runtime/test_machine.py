import mmap
from pathlib import Path

from targets.runtime.machine import over_current_events, read_state, reset_peak, resident_bytes


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_machine_with_all_sensors(tmp_path: Path) -> None:
    for core, mhz in ((0, 1800), (1, 2400)):
        cpu = tmp_path / f"sys/devices/system/cpu/cpu{core}"
        write(cpu / "cpufreq/scaling_governor", "schedutil\n")
        write(cpu / "cpufreq/scaling_cur_freq", f"{mhz * 1000}\n")
        write(cpu / "thermal_throttle/core_throttle_count", "3\n")
    write(tmp_path / "sys/class/thermal/thermal_zone0/temp", "48500\n")
    write(tmp_path / "sys/class/thermal/thermal_zone1/temp", "-274000\n")  # a Jetson's unused sensor
    write(tmp_path / "proc/loadavg", "1.25 0.5 0.3 2/345 6789\n")
    state = read_state(tmp_path)
    assert state.governors == ("schedutil",)
    assert state.frequencies_mhz == (1800.0, 2400.0)
    assert (state.temperature_c, state.throttle_events, state.load_average) == (48.5, 6, 1.25)
    assert state.cores >= 1


def test_a_jetson_counts_its_over_current_events(tmp_path: Path) -> None:
    folder = tmp_path / "sys/class/hwmon/hwmon4"
    for circuit, count in (("oc1", "0"), ("oc3", "17"), ("oc2", "no number")):
        write(folder / f"{circuit}_event_cnt", count + "\n")
    assert over_current_events(tmp_path) == {"over-current (oc1)": 0, "over-current (oc3)": 17}


def test_a_pc_has_its_sensors_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "sys/class/hwmon/hwmon0/temp1_input", "51000\n")
    write(tmp_path / "sys/class/hwmon/hwmon1/temp2_input", "63500\n")
    assert read_state(tmp_path).temperature_c == 63.5


def test_a_machine_without_sensors_says_nothing_instead_of_zero(tmp_path: Path) -> None:
    state = read_state(tmp_path)
    assert (state.governors, state.frequencies_mhz) == ((), ())
    assert (state.temperature_c, state.throttle_events, state.load_average) == (None, None, None)


def test_memory_fields_are_read_in_bytes(tmp_path: Path) -> None:
    write(tmp_path / "status", "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t 1024 kB\n")
    assert resident_bytes("VmHWM", tmp_path) == 2048 * 1024
    assert resident_bytes("VmRSS", tmp_path) == 1024 * 1024
    assert resident_bytes("VmSwap", tmp_path) is None
    assert resident_bytes("VmRSS", tmp_path / "gone") is None


def test_the_peak_of_this_process_forgets_and_grows() -> None:
    if not reset_peak():
        assert resident_bytes("VmHWM") is not None  # a container may forbid the reset, never the reading
        return
    before = resident_bytes("VmHWM")
    with mmap.mmap(-1, 64_000_000) as fresh:  # not the allocator's: that may have as much to spare
        for page in range(0, len(fresh), mmap.PAGESIZE):
            fresh[page] = 1
        after = resident_bytes("VmHWM")
    assert before is not None
    assert after is not None
    assert after - before > 50_000_000


def test_a_refused_reset_is_reported(tmp_path: Path) -> None:
    assert reset_peak(tmp_path / "no_such_process") is False
