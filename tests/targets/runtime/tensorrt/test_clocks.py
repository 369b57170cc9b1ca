import os
from pathlib import Path

import pytest

from targets.runtime.tensorrt.clocks import are_locked, can_be_locked, locked_clocks

GPU = "sys/class/devfreq/17000000.gpu"
POLICY = "sys/devices/system/cpu/cpufreq/policy{}"


@pytest.fixture(params=[0, 1000], ids=["as root", "by sudo"])
def user(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(os, "geteuid", lambda: request.param)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    return int(request.param)


def clocks(device: Path) -> list[str]:
    log = device / "clocks.log"
    return log.read_text().splitlines() if log.exists() else []


def program(device: Path, name: str, text: str) -> None:
    (device / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
    (device / "bin" / name).chmod(0o755)


def set_range(device: Path, folder: str, names: tuple[str, str], low: int, high: int) -> None:
    (device / folder).mkdir(parents=True, exist_ok=True)
    for name, clock in zip(names, (low, high), strict=True):
        (device / folder / name).write_text(f"{clock}\n")


def set_clocks(device: Path, gpu: tuple[int, int], *processors: tuple[int, int]) -> None:
    set_range(device, GPU, ("min_freq", "max_freq"), *gpu)
    for i, one in enumerate(processors):
        set_range(device, POLICY.format(i), ("scaling_min_freq", "scaling_max_freq"), *one)


@pytest.mark.usefixtures("user")
def test_clocks_are_locked_and_given_back(device: Path) -> None:
    memory = device / "saved"
    with locked_clocks(memory, lambda _: None, device) as locked:
        assert locked
        assert memory.exists()
    assert clocks(device) == [f"--store {memory}", "", f"--restore {memory}"]
    assert not memory.exists()


def test_what_was_stored_under_sudo_belongs_to_the_folder_s_owner(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, *_: given.append(path))
    with locked_clocks(device / "saved", lambda _: None, device) as locked:
        assert locked
    assert given == [str(device / "saved")]


def test_clocks_are_given_back_after_a_failure(device: Path) -> None:
    memory = device / "saved"
    with pytest.raises(KeyboardInterrupt), locked_clocks(memory, lambda _: None, device):
        raise KeyboardInterrupt
    assert clocks(device)[-1] == f"--restore {memory}"


def test_clocks_that_a_killed_run_left_locked_are_restored_first(device: Path) -> None:
    memory = device / "saved"
    memory.touch()
    with locked_clocks(memory, lambda _: None, device):
        pass
    assert clocks(device)[:2] == [f"--restore {memory}", f"--store {memory}"]


def test_what_was_stored_is_kept_until_it_could_be_restored(device: Path) -> None:
    program(device, "jetson_clocks", f'[ "$1" != --restore ] && echo "$@" >>{device}/clocks.log')
    memory, said = device / "saved", list[str]()
    memory.write_text("the owner's clocks")
    for _ in range(2):
        with locked_clocks(memory, said.append, device) as locked:
            assert locked  # they still are
    assert memory.read_text() == "the owner's clocks"
    assert clocks(device) == []  # never stored again: that would save the locked clocks
    assert (
        said[0]
        == f"clocks are still locked: `sudo jetson_clocks --restore {memory}` gives the previous ones back"
    )


def test_clocks_are_restored_if_locking_fails_half_way(device: Path) -> None:
    program(
        device,
        "jetson_clocks",
        f'[ "$1" = --store ] && : >"$2"; echo "$@" >>{device}/clocks.log; [ -n "$1" ]',
    )
    memory = device / "saved"
    with locked_clocks(memory, lambda _: None, device) as locked:
        assert not locked
    assert clocks(device)[-1] == f"--restore {memory}"
    assert not memory.exists()


def test_clocks_that_the_owner_locked_are_left_alone(device: Path) -> None:
    set_clocks(device, (1300500000, 1300500000), (2201600, 2201600), (2201600, 2201600))
    said: list[str] = []
    with locked_clocks(device / "saved", said.append, device) as locked:
        assert locked
    assert clocks(device) == []
    assert said == ["clocks were locked before and stay so"]


@pytest.mark.parametrize(
    ("gpu", "processor"), [((306000000, 1300500000), (9, 9)), ((9, 9), (729600, 2201600)), ((0, 0), (9, 9))]
)
def test_one_clock_that_may_change_is_not_locked(
    device: Path, gpu: tuple[int, int], processor: tuple[int, int]
) -> None:
    set_clocks(device, gpu, (2201600, 2201600), processor)
    assert not are_locked(device)


def test_clocks_that_jetson_clocks_left_free_are_not_called_locked(device: Path) -> None:
    """As an owner of a Thor published it: the program ends well, and the GPU's lowest clock stays."""
    set_range(device, "sys/class/devfreq/gpu-gpc-0", ("min_freq", "max_freq"), 315000000, 1575000000)
    said: list[str] = []
    with locked_clocks(device / "saved", said.append, device) as locked:
        assert not locked
    assert said == [
        "clocks are not locked: jetson_clocks reports no error, but these may change: "
        "gpu-gpc-0 (315000000 to 1575000000)"
    ]
    assert clocks(device)[-1].startswith("--restore")


@pytest.mark.parametrize("name", ["17000000.gpu", "17000000.ga10b", "17000000.gv11b", "gpu-gpc-0"])
def test_the_gpu_is_found_by_the_name_of_each_generation(device: Path, name: str) -> None:
    set_range(device, f"sys/class/devfreq/{name}", ("min_freq", "max_freq"), 7, 7)
    set_range(device, POLICY.format(0), ("scaling_min_freq", "scaling_max_freq"), 5, 5)
    assert are_locked(device)


def test_without_root_s_rights_it_says_which_line_gives_them(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(device, "sudo", "exit 1")  # as JetPack sets it up: it asks for a password
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said: list[str] = []
    with locked_clocks(device / "saved", said.append, device) as locked:
        assert not locked
    assert not can_be_locked(device)
    rule = f"ALL=(root) NOPASSWD: {device}/bin/jetson_clocks' | sudo tee /etc/sudoers.d/edgec"
    assert said[0].startswith("clocks are not locked: that needs root. Run this with sudo, run `sudo jetson_")
    assert said[0].endswith(rule)


def test_clocks_of_another_machine_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    said: list[str] = []
    with locked_clocks(tmp_path / "saved", said.append, tmp_path) as locked:
        assert not locked
    assert said == ["clocks are not locked: there is no jetson_clocks here"]
    assert not can_be_locked(tmp_path)
