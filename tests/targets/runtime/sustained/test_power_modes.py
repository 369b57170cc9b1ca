"""Power modes of a Jetson, by a double of nvpmodel that answers in its published words."""

import json
from dataclasses import asdict
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from targets.runtime.nvpmodel import PowerMode
from targets.runtime.sustained import power_modes
from targets.runtime.sustained.choice_file import CHOICE
from targets.runtime.sustained.load import Energy
from targets.runtime.sustained.power_modes import PowerModeProblem, plot, sweep, table
from targets.runtime.sustained.soak import Soaked
from tests.targets.runtime.nvpmodel_listings import orin_nano_conf, put_in_force

CONF = """\
< PARAM TYPE=FILE NAME=CPU_ONLINE >
# MAXN is the NONE power model to release all constraints
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=25W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
< POWER_MODEL ID=3 NAME=7W >
< PM_CONFIG DEFAULT=1 >
"""
NVPMODEL = """\
#!/bin/sh
names="15W 25W MAXN_SUPER 7W"
if [ "$1" = -q ]; then
    mode=$(/bin/cat {state}); set -- $names; shift $mode
    echo "NV Power Mode: $1"; echo "$mode"; exit 0
fi
echo "$2" >>{log}
if [ -e {refuses} ]; then echo "NVPM ERROR: Error opening /sys/kernel: 13 Permission denied"; exit 1; fi
if [ "$2" = 2 ] && [ -e {unset} ]; then
    echo "NVPM ERROR: failed to read current value of ARG MAX_FREQ: PATH /sys/class/devfreq/bwmgr/max_freq"
    exit 1
fi
if [ "$2" = 3 ]; then
    echo "NVPM WARN: Golden image context is already created"
    echo "NVPM WARN: Reboot required for changing to this power mode: 3"
    echo "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm: "
    read answer; [ "$answer" = YES ] && echo 3 >{state}
    echo "NVPM ERROR: optMask is 1, no request for power mode"; exit 1
fi
echo "$2" >{state}
"""
AROUND = {"engine": "int8", "seconds": 1.0}
ENERGY = Energy("rail VDD_IN", 4.0, 10.0, 50.0, 30.0, 0.5, 0.75)
FOUND = Soaked(60.0, 100, 10.0, (5.0, 4.9, 5.1), None, 60.0, {"cooled by slowing gpu": 3.0}, ENERGY, "")


@pytest.fixture
def jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Jetson in mode 25W whose sudo needs no password."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nvpmodel.conf").write_text(CONF)
    (tmp_path / "bin").mkdir()
    (tmp_path / "state").write_text("1\n")
    named = {name: str(tmp_path / name) for name in ("state", "log", "refuses", "unset")}
    for name, text in (("nvpmodel", NVPMODEL.format(**named)), ("sudo", '#!/bin/sh\nshift\nexec "$@"\n')):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    return tmp_path


def swept(jetson: Path, said: list[str], names: list[str] | None = None) -> list[PowerMode]:
    modes = power_modes.chosen_modes(names, jetson)
    return sweep(jetson / "record.json", modes, AROUND, lambda: FOUND, said.append)


def test_its_modes_are_read_from_its_configuration(jetson: Path) -> None:
    assert [mode.name for mode in power_modes.power_modes(jetson)] == ["15W", "25W", "MAXN_SUPER", "7W"]
    assert power_modes.current_mode() == PowerMode(1, "25W")
    with pytest.raises(PowerModeProblem, match="no mode 30W; this device has 15W, 25W, MAXN_SUPER, 7W"):
        power_modes.chosen_modes(["30W"], jetson)
    with pytest.raises(PowerModeProblem, match="this is for Jetsons"):
        power_modes.power_modes(jetson / "bin")


def test_every_mode_is_measured_and_the_one_from_before_comes_back(jetson: Path) -> None:
    said: list[str] = []
    assert swept(jetson, said, ["15W", "25W", "MAXN_SUPER"]) == []
    assert said == ["25W: measuring", "15W: measuring", "MAXN_SUPER: measuring"]
    assert (jetson / "log").read_text().split() == ["0", "2", "1"]
    assert power_modes.current_mode().name == "25W"


def test_a_mode_that_needs_a_reboot_is_measured_after_it_and_nothing_is_measured_twice(jetson: Path) -> None:
    said: list[str] = []
    assert [mode.name for mode in swept(jetson, said)] == ["7W"]
    assert power_modes.current_mode().name == "25W"  # it was not rebooted unasked
    (jetson / "state").write_text("3\n")  # the owner rebooted into it
    said.clear()
    assert swept(jetson, said) == []
    assert said[0] == "7W: measuring"
    assert said[1:4] == [f"{name}: measured before" for name in ("15W", "25W", "MAXN_SUPER")]
    record = json.loads((jetson / "record.json").read_text())
    assert set(record["results"]) == {"15W", "25W", "MAXN_SUPER", "7W"}
    assert power_modes.current_mode().name == "25W"


def test_a_mode_that_was_set_and_is_not_in_force_is_not_measured_under_its_name(
    jetson: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nvpmodel names the mode that was set; here the limits of 25W stay whatever is set."""
    (jetson / "etc/nvpmodel.conf").write_text(orin_nano_conf())
    put_in_force(jetson, "25W")
    monkeypatch.setattr(power_modes, "PATIENCE_S", 0.0)
    modes = power_modes.chosen_modes(["15W", "25W"], jetson)
    said: list[str] = []
    assert sweep(jetson / "record.json", modes, AROUND, lambda: FOUND, said.append, jetson) == []
    assert said == ["25W: measuring", "15W: not measured, it is not in force"]
    record = json.loads((jetson / "record.json").read_text())
    assert set(record["results"]) == {"25W"}
    assert record["not_in_force"]["15W"][1] == "GPU MAX_FREQ is 918000000, not 612000000"
    put_in_force(jetson, "15W")
    monkeypatch.setattr(power_modes, "limits_not_in_force", lambda *_: [])
    sweep(jetson / "record.json", modes, AROUND, lambda: FOUND, said.append, jetson)
    record = json.loads((jetson / "record.json").read_text())
    assert (set(record["results"]), record["not_in_force"]) == ({"15W", "25W"}, {})


def test_a_mode_that_nvpmodel_cannot_set_does_not_stop_the_others(jetson: Path) -> None:
    """As an owner of an Orin Nano with JetPack 7 published it of MAXN_SUPER; root's rights do not help."""
    (jetson / "unset").touch()
    said: list[str] = []
    assert [one.name for one in swept(jetson, said)] == ["7W"]
    record = json.loads((jetson / "record.json").read_text())
    assert set(record["results"]) == {"15W", "25W"}
    (why,) = record["not_in_force"]["MAXN_SUPER"]
    assert why.startswith(
        "nvpmodel does not set it: NVPM ERROR: failed to read current value of ARG MAX_FREQ"
    )
    assert "MAXN_SUPER: not measured, nvpmodel does not set it" in said
    assert power_modes.current_mode().name == "25W"


def test_a_mode_that_another_program_left_meanwhile_is_not_measured_under_its_name(jetson: Path) -> None:
    def measured() -> Soaked:
        (jetson / "state").write_text("2\n")
        return FOUND

    sweep(jetson / "record.json", [PowerMode(1, "25W")], AROUND, measured, print)
    record = json.loads((jetson / "record.json").read_text())
    assert record["results"] == {}
    assert record["not_in_force"] == {"25W": ["the mode changed to MAXN_SUPER meanwhile"]}


def test_an_interrupted_sweep_keeps_what_it_has(jetson: Path) -> None:
    rounds = [FOUND]
    modes = power_modes.chosen_modes(["15W", "25W"], jetson)
    with pytest.raises(IndexError):
        sweep(jetson / "record.json", modes, AROUND, rounds.pop, lambda _: None)
    assert power_modes.current_mode().name == "25W"
    said: list[str] = []
    swept(jetson, said, ["15W", "25W"])
    assert said == ["25W: measured before", "15W: measuring"]


def test_another_engine_is_measured_anew(jetson: Path) -> None:
    swept(jetson, [], ["25W"])
    said: list[str] = []
    sweep(jetson / "record.json", [PowerMode(1, "25W")], {"engine": "fp16"}, lambda: FOUND, said.append)
    assert said == ["25W: measuring"]


def test_an_engine_is_known_by_its_content_and_its_choice(tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    engine.write_bytes(b"one")
    identities = [power_modes.engine_identity(engine)]
    engine.write_bytes(b"other")
    identities.append(power_modes.engine_identity(engine))
    (tmp_path / CHOICE).write_text("fp16")
    identities.append(power_modes.engine_identity(engine))
    assert all(identities.count(one) == 1 for one in identities)


def test_without_the_right_to_change_it_says_which_line_gives_it(jetson: Path) -> None:
    (jetson / "refuses").touch()
    with pytest.raises(PowerModeProblem, match=r"Permission denied.*NOPASSWD: .*nvpmodel' \| sudo tee"):
        swept(jetson, [])


def test_the_table_and_the_plot_have_every_mode_that_has_figures() -> None:
    results = {"15W": asdict(FOUND), "a<b": asdict(FOUND), "7W": {**asdict(FOUND), "energy": None}}
    lines = table(results)
    assert lines[1].split("  ")[0] == "15W"
    assert "50.00 +-0.50" in lines[1]
    assert "30.00 +-0.75" in lines[1]
    assert "cooled by slowing gpu" in lines[1]
    assert lines[3].count("not measured") == 3
    drawn = fromstring(plot(results))  # noqa: S314 - our own
    texts = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "a<b: 5.00 ms, 50.0 mJ" in texts
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}circle"))) == 2
    assert "no mode has both" in plot({})
