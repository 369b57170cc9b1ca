"""A board belongs to one client at a time. Through a real SSH server, with clients that die."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from targets.errors import DeviceAnswerError, DeviceDiskFull, DeviceError, DeviceUnfit, LeaseLost
from targets.reach import leased_board
from targets.reach.kept_open import one_session
from targets.reach.leased_board import leased, look, note_selftest, run_alone, taken
from targets.reach.ssh import SshDevice
from targets.runtime import board_lease
from tests.conftest import ROOT
from tests.targets.reach.sshd import Sshd, needs_sshd

pytestmark = needs_sshd
CLIENT = """
import sys, time
from targets.reach.leased_board import taken
from targets.reach.ssh import SshAddress, SshDevice
with taken(SshDevice(SshAddress.parse(sys.argv[1])), owner="the one that dies", seconds=2.0):
    print("has it", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def board(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sshd:
    sshd.give_this_python(tmp_path / "bin")
    monkeypatch.setattr(leased_board, "ASKED_EVERY", 0.1)
    return sshd


def state(board: Sshd) -> Path:
    return board.home / board_lease.FOLDER / "state.json"


def holder(device: SshDevice) -> str:
    found = look(device).holder
    return "" if found is None else found.owner


def test_one_has_it_the_others_wait_in_their_order_and_all_see_who(board: Sshd) -> None:
    order: list[str] = []
    said: list[str] = []
    device = board.device

    def client(name: str) -> None:
        with taken(device, said.append, name):
            assert holder(device) == name
            order.append(name)

    with taken(device, owner="first"):
        threads = []
        for number, name in enumerate(("second", "third"), start=1):
            threads.append(threading.Thread(target=client, args=(name,)))
            threads[-1].start()
            while len(look(device).waiting) < number:
                time.sleep(0.05)
        seen = look(device)
        assert seen.holder is not None
        assert (seen.holder.owner, [one.owner for one in seen.waiting]) == ("first", ["second", "third"])
        assert order == []
    for thread in threads:
        thread.join()
    assert order == ["second", "third"]
    assert look(device).holder is None
    assert f"{device.address}: waiting for first" in said
    assert f"{device.address}: waiting for first, and 1 wait before this" in said


def test_a_client_that_was_killed_loses_the_board_and_one_that_lives_keeps_it(board: Sshd) -> None:
    command = [sys.executable, "-c", CLIENT, str(board.address)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "has it\n"
        renewed = json.loads(state(board).read_text())["holder"]["until"]
        while json.loads(state(board).read_text())["holder"]["until"] == renewed:
            time.sleep(0.05)  # it is renewed for as long as the client lives
        assert holder(board.device) == "the one that dies"
        client.kill()
    with taken(board.device, owner="the next"):
        assert holder(board.device) == "the next"


def test_what_was_measured_while_the_lease_was_lost_is_refused(board: Sshd) -> None:
    with pytest.raises(LeaseLost), one_session(), leased(board.device) as held:  # noqa: PT012 - it has to end
        kept = json.loads(state(board).read_text())
        state(board).write_text(json.dumps({**kept, "holder": {**kept["holder"], "token": "another's"}}))
        with pytest.raises(LeaseLost, match="another client has taken the board"):
            run_alone(board.device, ["touch", "measured"])
        held.seconds = 0.03
        held.begin()
        while not held.lost:
            time.sleep(0.02)
    assert not (board.home / "measured").exists()


def test_a_command_that_a_dead_client_left_behind_is_waited_for(board: Sshd) -> None:
    """The client has lost its lease, but its program still computes."""
    (board.home / board_lease.FOLDER).mkdir(parents=True)
    script = (
        "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print('runs', flush=True); input()"
    )
    left = [sys.executable, "-c", script, str(board.home / board_lease.FOLDER / "measuring")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(left, text=True, **pipes) as running:  # type: ignore[call-overload]
        running.stdout.readline()
        measuring = threading.Thread(target=run_alone, args=(board.device, ["touch", "measured"]))
        measuring.start()
        while not holder(board.device):
            time.sleep(0.05)
        assert not (board.home / "measured").exists()
        running.communicate("\n")
        measuring.join()
    assert (board.home / "measured").exists()


def test_a_restart_of_the_board_and_a_damaged_record_leave_it_free(board: Sshd) -> None:
    with taken(board.device, owner="before"):
        kept = json.loads(state(board).read_text())
        for content in (json.dumps({**kept, "boot": "another"}), "{", "[]", '{"boot": 3}', '"x"'):
            state(board).write_text(content)
            assert look(board.device).holder is None
    with taken(board.device, owner="after"):
        assert holder(board.device) == "after"


def test_within_a_lease_the_same_client_waits_for_nobody(board: Sshd) -> None:
    with leased(board.device) as outer:
        with leased(board.device) as inner:
            assert inner is outer
        assert run_alone(board.device, ["true"]).returncode == 0
        assert holder(board.device)
    assert holder(board.device) == ""


def test_in_a_session_a_board_is_taken_once(board: Sshd) -> None:
    with one_session():
        with leased(board.device) as first:
            pass
        assert holder(board.device)
        with leased(board.device) as second:
            assert second is first
    assert holder(board.device) == ""


def test_a_board_whose_disk_is_full_is_not_taken(board: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leased_board, "LEAST_FREE_BYTES", 1 << 62)
    with pytest.raises(DeviceDiskFull, match="its disk has"), taken(board.device):
        raise AssertionError
    monkeypatch.undo()
    monkeypatch.setenv("EDGEC_SSH_CONFIG", str(board.config))
    look(board.device)
    (state(board).with_name("state.json.new")).symlink_to("/dev/full")
    with pytest.raises(DeviceDiskFull, match="its disk is full"), taken(board.device):
        raise AssertionError


def test_a_board_that_is_too_hot_is_not_taken(board: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leased_board, "HOTTEST_C", -300.0)
    if look(board.device).temperature_c is None:
        monkeypatch.setattr(leased_board, "look", lambda _: Hot())
    with pytest.raises(DeviceUnfit, match="Let it cool"), taken(board.device):
        raise AssertionError


class Hot:
    free_bytes = 1 << 40
    unfit = "it is at 99 °C"
    selftest_failed = False


@pytest.mark.parametrize("answer", ["", "[]", "{", "{}", '{"held": 0}', '{"holder": 3, "selftest": 0}'])
def test_an_answer_that_makes_no_sense_is_an_error_of_the_board(
    answer: str, board: Sshd, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "python3").write_text(f"#!/bin/sh\necho '{answer}'\n")
    with pytest.raises(DeviceAnswerError, match="cannot be read"):
        look(board.device)


def test_how_the_last_self_test_went_is_known(board: Sshd) -> None:
    assert look(board.device).selftest == ""
    note_selftest(board.device, "model.engine", passed=False)
    found = look(board.device)
    assert found.selftest.startswith("failed on 20")
    assert "its last self-test failed" in found.unfit
    note_selftest(board.device, "model.engine", passed=True)
    assert look(board.device).unfit == ""


def test_a_cut_connection_is_an_error_and_the_board_is_free_when_the_lease_ends(board: Sshd) -> None:
    with pytest.raises(DeviceError), taken(board.device, owner="cut", seconds=1.0):  # noqa: PT012
        cutter = threading.Timer(0.5, board.cut)
        cutter.start()
        board.device.output(["sleep", "60"])
    with taken(board.device, owner="next"):
        assert holder(board.device) == "next"


def test_the_lock_ends_with_the_command_that_measures(board: Sshd) -> None:
    done = run_alone(board.device, ["sh", "-c", "echo $$; exit 3"])
    assert done.returncode == 3
    assert run_alone(board.device, ["true"]).returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), signal.SIG_DFL)
