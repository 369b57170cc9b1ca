"""A board that lies, floods or never answers costs its user a named error, and neither memory nor hours."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.bundle.deploy import roll_back
from pipeline.progress import Silent
from targets.errors import DeviceAnswerError, DeviceError, DeviceTimeout, EngineError
from targets.reach import remote, ssh, streams, transfer
from targets.reach.answers import json_answer, measurements
from targets.reach.finished import Finished
from targets.reach.leased_board import look
from targets.reach.probe import check_board, probe
from targets.reach.remote import StreamRunner
from targets.reach.ssh import SshAddress
from targets.runtime import board_lease
from targets.runtime.machine import MachineState
from targets.runtime.measure import Measurement, Settings, to_json
from targets.tensorrt.device import module_facts
from targets.tvm.tuning.cost import TimedOnDevice
from tests.targets.reach.sshd import Sshd, needs_sshd, running_sshd


@dataclass(frozen=True)
class Lying:
    """A board that gives one answer to everything."""

    answer: str
    address: SshAddress = SshAddress("liar")  # noqa: RUF009 - it is frozen

    def run(self, *_: object, **__: object) -> Finished:
        return Finished(0, self.answer, "")

    def send(self, *_: object) -> None:
        """Take a file and ignore it."""


ASKED: dict[str, Callable[[Any], object]] = {
    "what it is": probe,
    "what it has": check_board,
    "leases": look,
    "a Jetson": module_facts,
    "going back": lambda board: roll_back(board, "m-t", (), Silent()),
}
NONSENSE = ["", "{}", "null", "3", "NaN", '"x"', "[[[", '{"cores": NaN}', '[{"what": 1e999}]', "[" * 100_000]


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("answer", NONSENSE)
def test_an_answer_that_makes_no_sense_is_named(asked: str, answer: str) -> None:
    with pytest.raises(DeviceAnswerError, match="cannot be read"):
        ASKED[asked](Lying(answer))


FACTS: dict[str, object] = {
    "python": [3, 11],
    "machine": "x",
    "system": "x",
    "board": "x",
    "cpu_parts": [],
    "cpu_flags": [],
}
FACTS |= {"cores": 4, "memory_bytes": 1, "free_bytes": 1, "numpy": "1", "opencv": None}


def test_of_many_wrong_items_only_the_first_is_looked_at() -> None:
    with pytest.raises(ValueError, match=r"^[1-9]\d? fields are wrong; 0\.\w+: Field required"):
        measurements(json.dumps([{}] * 1000), Settings(), 1000)


@pytest.mark.parametrize("name", ["machine", "system", "board", "cpu_parts", "cpu_flags", "numpy"])
def test_a_fact_that_commands_the_terminal_is_refused(name: str) -> None:
    assert probe(Lying(json.dumps(FACTS))).cores == 4  # type: ignore[arg-type]  # a double
    odd = "\x1b]0;owned\x07"
    lie = FACTS | {name: [odd] if isinstance(FACTS[name], list) else odd}
    with pytest.raises(DeviceAnswerError, match="has characters that command a terminal") as error:
        probe(Lying(json.dumps(lie)))  # type: ignore[arg-type]  # a double
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("place", ["9" * 5000, "many", "", "1e3"])
def test_a_board_that_misstates_how_much_of_a_file_it_has_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    with pytest.raises(DeviceAnswerError, match="how much of it is there cannot be read"):
        transfer.send(Lying(place), tmp_path / "file", "there")  # type: ignore[arg-type]  # a double


def test_a_board_that_claims_a_negative_length_of_a_file_gets_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    with pytest.raises(DeviceError, match="other bytes than were sent, twice"):
        transfer.send(Lying("-99999999"), tmp_path / "file", "there")  # type: ignore[arg-type]  # a double


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    (tmp_path / "bin").mkdir()
    with running_sshd(tmp_path / "sshd", monkeypatch) as server:
        server.use_path(tmp_path / "bin")
        yield server


def python_is(script: str, tmp_path: Path) -> None:
    """Let the board's Python be a shell script."""
    program = tmp_path / "bin" / "python3"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@needs_sshd
@pytest.mark.parametrize("flood", ["yes", "yes >&2", "cat /dev/zero", "cat /dev/zero >&2"])
@pytest.mark.timeout(60)
def test_endless_output_is_ended_and_not_kept(
    flood: str, board: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ssh, streams):
        monkeypatch.setattr(module, "OUTPUT_BYTES", 1 << 20)
    python_is(flood, tmp_path)
    for on_line in (None, lambda _: None):
        with pytest.raises(DeviceAnswerError, match=r"printed more than 1,048,576 bytes and was ended"):
            board.device.run(["python3"], on_line=on_line)


@needs_sshd
@pytest.mark.timeout(60)
def test_a_program_that_never_answers_is_ended(board: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "STREAM_SECONDS", 0.5)
    runner = StreamRunner(board.device, ["sleep", "1000"], (2, 2, 1), 3)
    with pytest.raises(DeviceTimeout, match=r"1 images have no answer"):
        runner.infer(np.zeros((1, 2, 2, 1), np.uint8))


@dataclass(frozen=True)
class Answering:
    """A board whose program reads the first pictures, of 16 x 4 bytes, and then prints a number of bytes."""

    printed: int
    before: int = 0
    address: SshAddress = SshAddress("liar")  # noqa: RUF009 - it is frozen

    def start(self, _: object) -> "subprocess.Popen[bytes]":
        script = f"head -c {self.before} /dev/zero; head -c 64 >/dev/null; head -c {self.printed} /dev/zero"
        return subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def why_ended(self, _: object) -> Exception:
        return DeviceError("it ended")


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("board", "said"),
    [
        (Answering(16 * 12 + 4), "printed more than the logits"),
        (Answering(16 * 12, before=4), "printed more than the logits"),
        (Answering(16 * 12 - 4), "it ended"),
        (Answering(0), "it ended"),
    ],
)
def test_logits_of_another_length_are_refused(board: Any, said: str) -> None:  # noqa: ANN401 - a double
    runner = StreamRunner(board, ["x"], (2, 2, 1), 3)
    images = np.zeros((40, 2, 2, 1), np.uint8)
    with pytest.raises(DeviceError, match=said):
        runner.infer(images)


def test_logits_of_the_right_length_are_taken() -> None:
    runner = StreamRunner(Answering(16 * 12), ["x"], (2, 2, 1), 3)  # type: ignore[arg-type]  # a double
    assert runner.infer(np.zeros((16, 2, 2, 1), np.uint8)).tolist() == [[0, 0, 0]] * 16
    runner.close()


STATE = MachineState(("performance",), (2400.0,), 51.0, 3, 0.2, 4)


def times(**changes: object) -> str:
    made = Measurement((10, 20), 1, 0, 1, True, "precise", 0.0, STATE, STATE, None)
    (fields,) = json.loads(to_json([made]))
    return json.dumps([{**fields, **changes}])


def test_times_are_taken_as_they_are() -> None:
    (found,) = measurements(f"a warning\n{times()}\n", Settings(), 1)
    assert found.runs_ns == (10, 20)
    assert found.before == STATE


@pytest.mark.parametrize(
    "changes",
    [
        {"runs_ns": []},
        {"runs_ns": [0]},
        {"runs_ns": [-5, 10]},
        {"runs_ns": [float("nan")]},
        {"runs_ns": [10**400]},
        {"runs_ns": [10**15]},
        {"runs_ns": ["fast"]},
        {"runs_ns": [1] * 6000},
        {"batch": 7},
        {"before": []},
        {"before": [["performance"], [float("inf")], 51.0, 3, 0.2, 4]},
        {"stopped": "x"},
        {"memory": {"peak": 3}},
        {"memory": "x" * 2000},
    ],
)
def test_times_that_cannot_be_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        measurements(times(**changes), Settings(), 1)


def test_other_engines_than_were_asked_for_are_refused() -> None:
    with pytest.raises(ValueError, match="1 engines were measured, not 2"):
        measurements(times(), Settings(), 2)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "1e999", "Infinity", '"' + "x" * (5 << 20) + '"', "9" * 5000]
)
def test_json_is_bounded(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        json_answer(text)


@needs_sshd
@pytest.mark.parametrize("printed", ["nan nan", "fast slow"])
def test_a_tuner_takes_no_times_that_cannot_be(printed: str, board: Sshd, tmp_path: Path) -> None:
    program = tmp_path / "kernels" / "run"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{printed}'\n")
    with pytest.raises(EngineError):
        TimedOnDevice(board.address, 1)(program, [0])


def test_an_oversized_record_of_leases_counts_as_no_lease(tmp_path: Path) -> None:
    """In a process that has no memory for it."""
    folder = tmp_path / board_lease.FOLDER
    folder.mkdir(parents=True)
    for name in ("state.json", "selftest.json"):
        with (folder / name).open("wb") as file:
            file.truncate(1 << 30)

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))

    found = subprocess.run(
        [sys.executable, "-m", "targets.runtime.board_lease", "look"],
        env={"HOME": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=bounded,
    )
    answer = json.loads(found.stdout)
    assert (answer["holder"], answer["waiting"], answer["selftest"]) == (None, [], None)


@pytest.mark.parametrize("record", ["[" * 100_000, '{"boot": NaN}', "\0\0", "{}"])
def test_an_invalid_record_of_leases_counts_as_no_lease(
    record: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / board_lease.FOLDER
    folder.mkdir(parents=True)
    for name in ("state.json", "selftest.json"):
        (folder / name).write_text(record)
    assert board_lease.main(["look"]) == 0
    assert json.loads(capsys.readouterr().out)["holder"] is None
