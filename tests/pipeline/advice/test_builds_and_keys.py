"""What messages about a build's settings, shares, training devices and signing keys advise."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pipeline.build.plan import Build
from pipeline.build.request import normalised_as
from pipeline.build.rules import check_brought, check_task
from pipeline.build.shard import Shard
from pipeline.bundle.signing import make_keys, sign_manifest
from pipeline.config import BuildConfig, ExportConfig, load_config
from pipeline.models.zoo import find_model
from pipeline.progress import Silent
from pipeline.task import Task
from pipeline.training.precision import find_device
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.data.pictures import class_folders, write_folder

GRAY, COLOUR = find_model("resnet20-fashion"), find_model("resnet18")
BROUGHT = Path("brought.onnx")


def with_settings(**of: dict[str, object]) -> BuildConfig:
    return BuildConfig.model_validate(of)


def on_pixels(**of: dict[str, object]) -> None:
    check_task(Task.SEGMENT, with_settings(**of))


Try = Callable[[], object]
SETTINGS: dict[str, tuple[Try, Try]] = {
    "Write it as 3/8: the third of eight shards": (lambda: Shard.parse("3 of 8"), lambda: Shard.parse("3/8")),
    "Leave it out: validation.max_drop is the limit for segmentation": (
        lambda: on_pixels(validation={"min_top1": 70.0}),
        lambda: on_pixels(validation={"max_drop": 0.5}),
    ),
    "Leave one of them out, or give the float network as the model": (
        lambda: check_brought(with_settings(calibration={"quantized": __file__}), BROUGHT),
        lambda: check_brought(with_settings(calibration={"quantized": __file__}), None),
    ),
    "Give a Q/DQ ONNX": (
        lambda: check_brought(with_settings(calibration={"quantized": "nowhere.onnx"}), None),
        lambda: check_brought(with_settings(calibration={"quantized": __file__}), None),
    ),
    "Leave those out, or give edgec the float network": (
        lambda: check_brought(with_settings(validation={"sensitivity": 8}), BROUGHT),
        lambda: check_brought(with_settings(), BROUGHT),
    ),
    "Give one, or one a channel": (
        lambda: normalised_as(COLOUR, ExportConfig(mean=(0.1, 0.2))),
        lambda: normalised_as(COLOUR, ExportConfig(mean=(0.1, 0.2, 0.3))),
    ),
    "takes gray pictures. Leave it out": (
        lambda: normalised_as(GRAY, ExportConfig(colors="BGR")),
        lambda: normalised_as(GRAY, ExportConfig()),
    ),
}


@pytest.mark.parametrize("words", SETTINGS)
def test_another_setting_helps(words: str) -> None:
    tries = [SETTINGS[words][0]]

    def attempt() -> object:
        return tries[-1]()

    check_advice(words, attempt, lambda: tries.append(SETTINGS[words][1]))


def test_giving_pictures_helps(tmp_path: Path) -> None:
    (tmp_path / "none.pth").touch()
    given: dict[str, object] = {"model": "resnet18", "checkpoint": tmp_path / "none.pth", "out": tmp_path}
    pictures = write_folder(tmp_path / "data", class_folders(train=12, test=6))
    check_advice(
        "Give a data set with --data",
        lambda: Build(load_config(BuildConfig, None, dict(given)), Silent()).dataset,
        lambda: given.update(data=pictures),
    )


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_another_device_for_training_helps(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    wanted = ["cuda"]
    words = 'Set device = "cpu" or "auto"'
    check_advice(words, lambda: find_device(wanted[-1]), lambda: wanted.append(device))


def with_a_passphrase(key: Path) -> Try:
    make_keys(key)
    plain = key.read_bytes()
    private = load_pem_private_key(plain, None)
    locked = BestAvailableEncryption(b"secret")
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    return lambda: key.write_bytes(plain)


def of_another_kind(key: Path) -> Try:
    other = generate_private_key(SECP256R1())
    key.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return partial(made_anew, key)


def no_key(key: Path) -> Try:
    key.write_text("release")
    return partial(made_anew, key)


def made_anew(key: Path) -> None:
    """What `edgec keygen` does, after the file that was no key is gone."""
    key.unlink()
    make_keys(key)


KEYS: dict[str, Callable[[Path], Try]] = {
    "has a passphrase. Remove it: openssl pkey -in": with_a_passphrase,
    "is not an Ed25519 private key. Make one with `edgec keygen`": of_another_kind,
    "is not a private key in PEM format": no_key,
}


@pytest.mark.parametrize("words", KEYS)
def test_another_key_helps(words: str, tmp_path: Path) -> None:
    key = tmp_path / "release.key"
    heed = KEYS[words](key)
    check_advice(words, lambda: sign_manifest(b"{}", key), heed)


def test_another_name_for_keys_helps(tmp_path: Path) -> None:
    (tmp_path / "first.key").touch()
    names = ["first.key"]
    check_advice(
        "keys are never overwritten. Give another name",
        lambda: make_keys(tmp_path / names[-1]),
        lambda: names.append("release.key"),
    )
