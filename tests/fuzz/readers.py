"""What reads files of others in Python, as functions of a file's bytes that let only faults through.

For hypothesis (test_readers.py) and for Atheris (fuzz_reader.py).
"""

import gzip
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from pipeline.bundle.pack import pack
from pipeline.cache.digest import file_digest
from pipeline.config import BuildConfig, load_config
from pipeline.data.open import open_dataset
from pipeline.errors import PipelineError
from pipeline.models.checkpoint import read_weights
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.rewrite import adopt
from pipeline.models.keras import read_keras
from targets.runtime.bundle.archive import ArchiveError, opened
from targets.runtime.bundle.keyring import KeyringError, parse
from targets.runtime.bundle.manifest import NAME, Manifest, ManifestError
from targets.runtime.bundle.signature import PublicKey, Signature, SignatureError
from targets.runtime.native_runner import read_engine
from targets.runtime.preprocess import ImageError, decode
from tests.attacks.bundles import ENGINE, digest, manifest
from tests.attacks.growing import network, node

CORPUS = Path(__file__).parent / "corpus"
Reader = Callable[[bytes, Path], None]
"""Takes a file's bytes, and a folder of its own to put them into."""


def put(data: bytes, path: Path) -> Path:
    path.write_bytes(data)
    return path


def bundle(data: bytes, folder: Path) -> None:
    """Verify and unpack a tar, which is packed here: changed packed bytes would be wrong checksums."""
    path = put(gzip.compress(data, 1), folder / "x.edgec")
    with suppress(ArchiveError), opened(path) as held, tempfile.TemporaryDirectory(dir=folder) as into:
        assert held.manifest.files["engine"]
        held.unpack(Path(into))


def packed_bundle(data: bytes, folder: Path) -> None:
    """Verify a bundle as it comes."""
    with suppress(ArchiveError), opened(put(data, folder / "x.edgec")) as held:
        assert held.manifest.files["engine"]


def manifest_text(data: bytes, folder: Path) -> None:  # noqa: ARG001 - it needs no file
    """Read a manifest."""
    with suppress(ManifestError):
        assert Manifest.parse(data.decode(errors="replace")).engine


def keys(data: bytes, folder: Path) -> None:
    """Read a signature, a public key and a statement about keys."""
    with suppress(SignatureError):
        Signature.parse(data)
    with suppress(SignatureError):
        PublicKey.read(put(data, folder / "x.pub"))
    with suppress(KeyringError):
        parse(folder / "x.pub").keyring("x")


def settings_file(data: bytes, folder: Path) -> None:
    """Read settings."""
    with suppress(PipelineError):
        load_config(BuildConfig, put(data, folder / "x.toml"), {})


def engine(data: bytes, folder: Path) -> None:
    """Read what the end of an engine says about it."""
    with suppress(ValueError):
        read_engine(put(data, folder / "x.engine"))


def network_file(data: bytes, folder: Path) -> None:
    """Read a network and bring it into the form that is compiled."""
    path = put(data, folder / "net.onnx")
    with suppress(PipelineError):
        adopt(described(path, Description(size=(32, 32), channels=1, fit="pad")), True, lambda _: None)


def weights(data: bytes, folder: Path) -> None:
    """Read weights of torch, TorchScript or safetensors."""
    with suppress(PipelineError):
        read_weights(put(data, folder / "x.pt"))


def keras(data: bytes, folder: Path) -> None:
    """Read weights of Keras."""
    with suppress(PipelineError):
        read_keras(put(data, folder / "x.h5"))


def labels(data: bytes, folder: Path) -> None:
    """Open a data set by its labels.csv."""
    put(data, folder / "labels.csv")
    with suppress(PipelineError):
        found = open_dataset(folder, None, file_digest)
        for split in ("train", "calibration", "evaluation"):
            found.split(split)


def picture(data: bytes, folder: Path) -> None:  # noqa: ARG001 - it needs no file
    """Decode a picture."""
    with suppress(ImageError):
        decode(data, 3)


READERS: Mapping[str, Reader] = {
    "bundle": bundle,
    "packed bundle": packed_bundle,
    "manifest": manifest_text,
    "keys": keys,
    "settings": settings_file,
    "engine": engine,
    "network": network_file,
    "weights": weights,
    "keras": keras,
    "labels": labels,
    "picture": picture,
}
TOML = b'model = "resnet20-fashion"\n[calibration]\nimages = 7\n[validation]\nimages = 1_000\n'
CSV = b"path,split,fine_name,fine_id\na.png,val,cat,0\nb.png,val,dog,1\n"


def sound(reader: str, folder: Path) -> bytes:
    """Return a file that the reader takes, for changes to start from."""
    return SOUND[reader](folder / "sound")


def _sound_bundle(path: Path) -> bytes:
    pack({"engine": ENGINE, NAME: manifest(engine=digest(ENGINE))}, path, top="m-t")
    return path.read_bytes()


def _sound_weights(path: Path) -> bytes:
    import torch

    torch.save({"state_dict": {"conv1.weight": torch.zeros(4, 3, 3, 3)}}, path)
    return path.read_bytes()


def _sound_keras(path: Path) -> bytes:
    import h5py

    with h5py.File(path, "w") as file:
        file["conv1_conv/conv1_conv/kernel:0"] = np.zeros((3, 3, 3, 4), np.float32)
    return path.read_bytes()


SOUND: Mapping[str, Callable[[Path], bytes]] = {
    "bundle": lambda path: gzip.decompress(_sound_bundle(path)),
    "packed bundle": _sound_bundle,
    "manifest": lambda _: (CORPUS / "manifest" / "sound.json").read_bytes(),
    "keys": lambda _: Signature(bytes(32), bytes(64)).to_json().encode(),
    "settings": lambda _: TOML,
    "engine": lambda _: (CORPUS / "footer" / "sound").read_bytes(),
    "network": lambda _: bytes(network(node("Relu", ["r"], ["q"])).SerializeToString()),
    "weights": _sound_weights,
    "keras": _sound_keras,
    "labels": lambda _: CSV,
    "picture": lambda _: (CORPUS / "png" / "2_8").read_bytes()[1:],
}
