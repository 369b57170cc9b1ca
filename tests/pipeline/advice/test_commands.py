"""What commands advise: another option, another file, another name."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline.build.regression import compare_with_baseline, save_baseline
from pipeline.bundle.contents import opened
from pipeline.bundle.pack import pack
from pipeline.bundle.signing import make_keys
from pipeline.cli.app import run
from pipeline.data.embedded import EMBEDDED
from pipeline.difference.opened_side import opened_side
from pipeline.difference.side import graph_logits
from pipeline.known_devices import add_device, find_device
from pipeline.report.regression_limits import Limits
from targets.errors import DeviceAddressError
from targets.reach.ssh import SshAddress
from targets.runtime.bundle.manifest import NAME
from targets.runtime.demo.board import Board
from targets.runtime.demo.page import Page, PageError
from tests.conftest import embedded_build
from tests.pipeline.advice.followed import check_advice, check_other_words
from tests.pipeline.data.pictures import png, random_pixels, write_folder, write_idx_set
from tests.pipeline.difference.small_pair import Pair

Said = pytest.CaptureFixture[str]


@pytest.fixture
def built(quick: Path, out: Path) -> list[object]:
    """The options of a build that is there already."""
    return ["--config", quick, "--out", out]


def test_a_name_for_the_exported_file_helps(built: list[object], tmp_path: Path, capsys: Said) -> None:
    words = "--output names no file. Give one, such as model.onnx."
    first: list[object] = ["export", *built, "-o", ""]
    check_other_words(words, first, ["export", *built, "-o", tmp_path / "model.onnx"], capsys)


def test_options_behind_the_command_help(out: Path, capsys: Said) -> None:
    words = "Give the options after the command: edgec cache verify ..."
    first: list[object] = ["cache", "--out", out, "verify"]
    check_other_words(words, first, ["cache", "verify", "--out", out], capsys)


def test_the_store_of_a_build_helps(out: Path, tmp_path: Path, capsys: Said) -> None:
    words = "Give the --out of a build"
    check_other_words(words, ["cache", "--out", tmp_path], ["cache", "--out", out], capsys)


def test_calibrating_the_float_network_helps(built: list[object], tmp_path: Path, capsys: Said) -> None:
    config = tmp_path / "brought.toml"
    config.write_text(f'target = "reference"\n[calibration]\nimages = 32\nquantized = "{__file__}"\n')
    words = "Leave it out to calibrate"
    into: list[object] = ["-o", tmp_path / "made"]
    first: list[object] = ["calibrate", "--config", config, *into]
    check_other_words(words, first, ["calibrate", *built, *into], capsys)


def test_an_address_helps_where_no_device_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run(["devices", "check"]) == 2
    assert "Give one as ssh://user@host" in capsys.readouterr().err
    with closing(socket.create_server(("127.0.0.1", 0))) as nobody:
        port = nobody.getsockname()[1]
    assert run(["devices", "check", f"ssh://user@127.0.0.1:{port}"]) == 1
    assert "ssh://user@127.0.0.1" in capsys.readouterr().out


@pytest.mark.parametrize(("asked", "name"), [("pi5", "pi5"), ("Pi 5", "NAME")])
def test_a_name_for_the_device_helps(
    asked: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    wanted, given = [asked], name.lower()

    def heed() -> None:
        add_device(given, SshAddress("pi5"))
        wanted.append(given)

    words = f"Give ssh://user@host, or name it: edgec devices add {name} ssh://user@host"
    check_advice(words, lambda: find_device(wanted[-1]), heed)


def test_a_name_in_lower_case_helps(tmp_path: Path) -> None:
    names = ["Pi 5"]
    check_advice(
        "use lower-case letters, digits, - and _",
        lambda: add_device(names[-1], SshAddress("pi5"), tmp_path / "devices.toml"),
        lambda: names.append("pi-5_b"),
    )


@pytest.mark.parametrize(
    ("address", "way"),
    [
        ("ssh://pi:secret@board", "ssh-copy-id pi@board"),
        ("ssh://pi:secret@board:2222", "ssh-copy-id -p 2222 pi@board"),
    ],
)
def test_an_address_without_its_password_helps(address: str, way: str) -> None:
    given = [address]
    check_advice(
        f"Leave it out, and set up a key: {way}",
        lambda: SshAddress.parse(given[-1]),
        lambda: given.append(address.replace(":secret", "")),
        DeviceAddressError,
    )


def test_a_python_by_name_or_path_helps() -> None:
    given = ["-c evil"]
    check_advice(
        "Give a name or an absolute path, such as /opt/venv/bin/python3",
        lambda: SshAddress.parse("ssh://board").with_python(given[-1]),
        lambda: given.append("/opt/venv/bin/python3"),
        DeviceAddressError,
    )


@pytest.fixture
def taken() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_another_port_for_the_page_helps(taken: int) -> None:
    ports = [taken]

    def attempt() -> None:
        with Page([Board()], lambda _: None, "127.0.0.1", ports[-1], None).serving():
            pass

    check_advice("Give --port 0 for any", attempt, lambda: ports.append(0), PageError)


def test_another_host_for_the_page_helps() -> None:
    hosts = ["192.0.2.1"]  # an address that nobody has (RFC 5737)

    def attempt() -> None:
        with Page([Board()], lambda _: None, hosts[-1], 0, None).serving():
            pass

    check_advice("Give --host 127.0.0.1", attempt, lambda: hosts.append("127.0.0.1"), PageError)


def test_a_new_head_without_quantised_training_helps(tmp_path: Path, capsys: Said) -> None:
    write_idx_set(tmp_path / "data", train=60, t10k=20)
    weights = EMBEDDED / "resnet20_fashion.safetensors"
    plain: list[object] = ["train", "--model", "resnet20-fashion", "--data", tmp_path / "data", "--epochs", 1]
    plain += ["--checkpoint", weights, "--new-head", "-o", tmp_path / "run"]
    words = "--new-head replaces some. Leave one of them out"
    check_other_words(words, [*plain, "--qat"], plain, capsys, code=1)
    assert (tmp_path / "run" / "weights.safetensors").is_file()  # code 1: nothing can be learned from noise


def test_the_quantised_network_of_a_build_can_be_tuned(
    out: Path, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("targets.tvm.tuning.search.convolutions", lambda *_: [])  # it takes minutes
    (network,) = out.glob("*/model.int8.onnx")
    first, then = (["tune", file, "--folder", tmp_path] for file in (tmp_path / "model.int8.onnx", network))
    check_other_words("Give a build's model.int8.onnx", first, then, capsys)
    words = "Times of several machines cannot be compared: leave --on out"
    check_other_words(words, [*then, "--on", "local:2"], then, capsys)


def test_saving_a_baseline_helps(built: list[object], tmp_path: Path, capsys: Said) -> None:
    asked: list[object] = ["baseline", "compare", *built, "--folder", tmp_path]
    assert run([str(one) for one in asked]) == 4
    assert f"Save one with `edgec baseline save --folder {tmp_path}` and the same settings" in " ".join(
        capsys.readouterr().err.split()
    )
    assert run(["baseline", "save", *map(str, built), "--folder", str(tmp_path)]) == 0
    assert run([str(one) for one in asked]) in (0, 3)


def test_a_bundle_of_the_same_model_helps(quick: Path, out: Path, tmp_path: Path) -> None:
    (bundle,) = out.glob("*.edgec")
    with opened(bundle) as held:
        files, top = held.contents(), held.top
    files[NAME] = files[NAME].replace(b'"resnet20-fashion"', b'"resnet18"')
    pack(files, tmp_path / "other.edgec", top)
    bundles = [tmp_path / "other.edgec"]
    build = embedded_build(quick, out)
    save_baseline(build, tmp_path)
    check_advice(
        "Give a bundle of the same model and target",
        lambda: compare_with_baseline(build, tmp_path, Limits(), bundles[-1]),
        lambda: bundles.append(bundle),
    )


def test_a_manifest_is_signed_as_it_is(out: Path, tmp_path: Path, capsys: Said) -> None:
    (bundle,) = out.glob("*.edgec")
    copy = tmp_path / "copy.edgec"
    copy.write_bytes(bundle.read_bytes())
    for name in ("one", "two"):
        make_keys(tmp_path / f"{name}.key")
    sign: list[object] = ["sign", copy, "--key"]
    assert run([str(one) for one in [*sign, tmp_path / "one.key", "--release", 3]]) == 0
    add: list[object] = [*sign, tmp_path / "two.key", "--add"]
    words = "--add signs the manifest unchanged. Leave the other options out"
    check_other_words(words, [*add, "--release", 4], add, capsys)


class TestDifference:
    """The sides that can be compared, and pictures for them."""

    @pytest.fixture
    def network(self, pair: Pair, tmp_path: Path) -> Path:
        onnx.save(pair.float_model, tmp_path / "a.onnx")
        np.save(tmp_path / "logits.npy", graph_logits(pair.float_model, pair.pictures))
        write_folder(tmp_path / "pictures", {f"{n}.png": png(one) for n, one in enumerate(pair.pictures)})
        return tmp_path / "a.onnx"

    def test_a_network_on_one_side_helps(self, network: Path, capsys: Said) -> None:
        logits, shown = network.with_name("logits.npy"), ["--image", network.with_name("pictures")]
        words = "Both sides are recorded logits. Give at least one network"
        check_other_words(words, ["diff", logits, logits, *shown], ["diff", network, logits, *shown], capsys)

    def test_pictures_help_where_none_come_with_the_project(self, network: Path, capsys: Said) -> None:
        first: list[object] = ["diff", network, network]
        words = "Give --data, a folder of images, or --image, one or several pictures"
        check_other_words(words, first, [*first, "--image", network.with_name("pictures")], capsys)

    def test_of_a_data_set_as_many_images_are_compared_as_were_recorded(
        self, network: Path, capsys: Said
    ) -> None:
        few = network.with_name("few.npy")
        data = write_folder(
            network.with_name("data"),
            {f"test/{'ab'[n % 2]}/{n}.png": png(one) for n, one in enumerate(random_pixels(8, side=24))}
            | {f"train/{'ab'[n % 2]}/{n}.png": png(one) for n, one in enumerate(random_pixels(4, 1, 24))},
        )
        np.save(few, np.load(network.with_name("logits.npy"))[:4])
        command: list[object] = ["diff", network, few, "--data", data, "--images", 8]
        assert run([str(one) for one in command]) in (0, 1)
        assert (
            "recorded logits of 4 pictures, in the order of those that are named" in capsys.readouterr().out
        )

    def test_one_of_the_things_that_are_named_helps(self, network: Path) -> None:
        sides = [network.with_name("pictures") / "0.png"]

        def attempt() -> None:
            with opened_side(sides[-1]):
                pass

        words = "is not something to compare. Give an .onnx, a .tflite, a checkpoint"
        check_advice(words, attempt, lambda: sides.append(network))

    def test_the_folder_of_a_build_helps(self, network: Path) -> None:
        folder = network.with_name("build")
        folder.mkdir()

        def attempt() -> None:
            with opened_side(folder):
                pass

        check_advice(
            "build there first", attempt, lambda: (folder / "model.onnx").write_bytes(network.read_bytes())
        )


def test_a_star_in_a_long_pattern_of_a_matrix_helps(tmp_path: Path, capsys: Said) -> None:
    def matrix(name: str, model: str) -> Path:
        file = tmp_path / name
        file.write_text(
            'models = ["resnet20-fashion"]\ntargets = ["host", "reference"]\n'
            f'[[exclude]]\nmodel = "{model}"\ntarget = "host"\n'
        )
        return file

    long, short = matrix("long.toml", "[r]" * 100 + "*"), matrix("short.toml", "r*")
    words = "up to 256 are allowed. Write * for a part of it."
    check_other_words(words, ["matrix", long, "--list"], ["matrix", short, "--list"], capsys)


def test_a_matrix_of_the_devices_helps(tmp_path: Path, capsys: Said) -> None:
    file = tmp_path / "boards.toml"
    file.write_text(
        'models = ["resnet20-fashion"]\ntargets = ["rpi5"]\n'
        'devices = ["ssh://pi@10.0.0.11", "ssh://pi@10.0.0.12"]\n'
    )
    words = "Give the devices to a matrix, whose rows the workers build: edgec matrix."
    first: list[object] = ["build", "--device", "ssh://pi@10.0.0.11,ssh://pi@10.0.0.12", "--on", "local:2"]
    check_other_words(words, first, ["matrix", file, "--on", "local:2", "--list"], capsys)
    assert capsys.readouterr().out.count("resnet20-fashion-rpi5@pi-10.0.0.1") == 2
