"""What messages about devices that are reached by SSH advise, followed on a real server of this machine."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from targets.devices import boards
from targets.errors import AuthenticationFailed, ConnectionCut, DeviceError
from targets.processor import LIMIT
from targets.reach.probe import BoardFacts, probe
from targets.reach.ssh import SshDevice
from targets.reach.transfer import file_digest
from targets.tvm.cpu_target import host_isa
from tests.pipeline.advice.followed import check_advice
from tests.targets.needs import or_skip
from tests.targets.reach.sshd import Sshd, needs_sshd, running_sshd


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    with running_sshd(tmp_path / "sshd", monkeypatch) as made:
        yield made


def without_python(server: Sshd) -> Path:
    """Let the server find only the programs in a folder, which has all of this machine's but Python."""
    folder = server.folder / "programs"
    folder.mkdir()
    for place in ("/usr/bin", "/bin"):
        for one in Path(place).iterdir():
            if not one.name.startswith("python") and not (folder / one.name).exists():
                (folder / one.name).symlink_to(one)
    login = server.folder / "login"
    login.write_text(login.read_text().replace(f'PATH="$(cat {server.folder}/path)$PATH"', f"PATH={folder}"))
    return folder


@needs_sshd
def test_installing_python_helps(server: Sshd) -> None:
    folder = without_python(server)

    def heed() -> None:
        (folder / "python3").symlink_to("/usr/bin/python3")

    words = " has no python3. Install it: apt install python3"
    if not Path("/usr/bin/python3").exists():
        pytest.skip("this machine's own Python is elsewhere")
    check_advice(words, lambda: probe(server.device), heed, DeviceError)


@needs_sshd
def test_another_python_helps(server: Sshd) -> None:
    server.give_this_python(server.folder / "bin")
    names = ["python3.99"]

    def attempt() -> BoardFacts:
        return probe(SshDevice(server.address.with_python(names[-1])))

    words = " has no python3.99. Give another: --python"
    check_advice(words, attempt, lambda: names.append("python3"), DeviceError)


def key_of_the_owner(server: Sshd) -> Path:
    """Let the server know another key alone, and take those that are copied to it into the usual file."""
    key = server.folder / "owner_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    shutil.copy(f"{key}.pub", server.folder / "authorized_keys")
    return key


def copied(server: Sshd) -> Callable[[], object]:
    owner = key_of_the_owner(server)
    options = [line.partition(" ") for line in server.config.read_text().splitlines()]
    shared = [f"{name}={value}" for name, _, value in options if not name.startswith("Identit")]
    there = f"{server.address.user}@{server.address.host}"
    given = [part for one in (f"IdentityFile={owner}", *shared) for part in ("-o", one)]
    key = f"{server.folder}/user_key.pub"
    command = ["ssh-copy-id", "-f", "-i", key, *given, "-p", str(server.port), there]

    def heed() -> None:
        (server.folder / ".ssh").mkdir()
        home = {**os.environ, "HOME": str(server.folder)}
        subprocess.run(command, env=home, check=True, capture_output=True)
        (server.folder / "authorized_keys").write_bytes(
            (server.home / ".ssh" / "authorized_keys").read_bytes()  # where the server's owner would look
        )

    return heed


@contextmanager
def agent(monkeypatch: pytest.MonkeyPatch, socket: Path) -> Iterator[None]:
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            assert process.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        yield
    finally:
        process.terminate()
        process.wait()


@needs_sshd
def test_copying_the_key_helps(server: Sshd) -> None:
    """By the program itself, which gets in by another key of the owner's."""
    heed = copied(server)
    words = "accepts none of your keys: "
    advice = ". Set one up with `ssh-copy-id "
    with pytest.raises(AuthenticationFailed) as refused:
        server.device.run(["true"])
    assert words in str(refused.value)
    assert advice in str(refused.value)
    heed()
    assert server.device.run(["true"]).returncode == 0


@needs_sshd
def test_an_agent_helps_a_key_with_a_passphrase(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    key = server.folder / "user_key"
    with agent(monkeypatch, server.folder / "agent"):
        plain = Path(shutil.copy(key, server.folder / "plain_key"))
        plain.chmod(0o600)
        subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", key], check=True)
        check_advice(
            ", and load it into an agent if it has a passphrase.",
            lambda: server.device.run(["true"]),
            lambda: subprocess.run(["ssh-add", "-q", plain], check=True),  # asks for no passphrase
            AuthenticationFailed,
        )


@needs_sshd
def test_trying_again_after_a_cut_continues(server: Sshd, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(os.urandom(12_000_000))
    cut, steps = [False], list[int]()

    def once(count: int) -> None:
        steps.append(count)
        if not cut[0] and sum(steps) > 6_000_000:
            cut[0] = True
            server.cut()

    words = ". Try again; files continue where they stopped."
    check_advice(words, lambda: server.device.send(file, "there", once), steps.clear, ConnectionCut)
    assert steps[0] > 1_000_000
    assert file_digest(server.home / "there") == file_digest(file)


PI = BoardFacts(
    python=(3, 11, 2),
    machine="aarch64",
    system="Linux",
    board="Raspberry Pi 4",
    cpu_parts=("0xd08",),
    cpu_flags=frozenset({"asimd"}),
    cores=4,
    memory_bytes=8 << 30,
    free_bytes=8 << 30,
    numpy="1.26",
    opencv="4.10",
)


def test_the_target_that_is_named_runs_on_older_boards() -> None:
    (said,) = PI.misfit(boards()["rpi5"].isa, "rpi5")
    assert said.endswith(", which engines for rpi5 use; build --target arm")
    assert PI.misfit(boards()["arm"].isa, "arm") == []


def test_the_variable_that_is_named_makes_engines_for_older_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    older = replace(PI, machine="x86_64", cpu_flags=frozenset({"avx2", "fma", "bmi2"}))
    (said,) = older.misfit("avx512vnni", "host")
    assert said.endswith("build with EDGEC_ISA=avx2")
    name, _, value = said.rpartition(" ")[2].partition("=")
    assert name == LIMIT
    monkeypatch.setenv(name, value)
    assert older.misfit(or_skip(partial(host_isa)).name, "host") == []
