"""What reads files of others in Python, as functions of a file's bytes that let only faults through.

For hypothesis (test_readers.py) and for Atheris (fuzz_readers.py).
"""

import gzip
import pickle
import struct
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from pipeline.build.parts import RECORD, read_part
from pipeline.build.requested_unit import REQUESTS, read_request
from pipeline.cache.digest import file_digest
from pipeline.cache.product import MANIFEST, Damaged, read_stored
from pipeline.config import BuildConfig, load_config
from pipeline.data.cifar import TEST
from pipeline.data.open import open_dataset
from pipeline.difference.opened_side import opened_side
from pipeline.difference.side import Side
from pipeline.difference.tflite.flatbuffer import read_tflite
from pipeline.errors import PipelineError
from pipeline.known_devices import known_devices
from pipeline.matrix.matrix_config import load_matrix
from pipeline.models.checkpoint import read_weights
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.rewrite import adopt
from pipeline.models.keras import keras_weights
from pipeline.report.model.build_report import Report
from targets.errors import TargetError
from targets.reach.answers import checked, json_answer, measurements, sensible
from targets.reach.probe import BoardFacts
from targets.runtime.bundle.archive import ArchiveError, opened
from targets.runtime.bundle.keyring import KeyringError, parse
from targets.runtime.bundle.manifest import Manifest, ManifestError
from targets.runtime.bundle.signature import PublicKey, Signature, SignatureError
from targets.runtime.measure import Settings
from targets.runtime.native_runner import read_engine
from targets.runtime.preprocess import ImageError, Preprocessing, decode
from targets.tvm.tuning import database

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
    """Read the metadata at the end of an engine."""
    with suppress(ValueError):
        read_engine(put(data, folder / "x.engine"))


def network_file(data: bytes, folder: Path) -> None:
    """Read a network and bring it into the form that is compiled."""
    path = put(data, folder / "net.onnx")
    with suppress(PipelineError):
        adopt(described(path, Description(size=(32, 32), channels=1, fit="pad")), True, lambda _: None)


def weights(data: bytes, folder: Path) -> None:
    """Read weights of torch, TorchScript or safetensors, and look for a set that fits."""
    with suppress(PipelineError):
        read_weights(put(data, folder / "x.pt"), lambda shapes: len(shapes) > 1)


def keras(data: bytes, folder: Path) -> None:
    """Read weights of Keras and give them our names."""
    with suppress(PipelineError):
        keras_weights(put(data, folder / "x.h5"), (0.5,) * 3, (0.2,) * 3)


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


def safetensors_file(data: bytes, folder: Path) -> None:
    """Read weights of safetensors, whatever the first bytes are."""
    with suppress(PipelineError):
        read_weights(put(data, folder / "x.safetensors"), lambda shapes: len(shapes) > 1)


def recorded_logits(data: bytes, folder: Path) -> None:
    """Open logits that are compared, and ask for those of two pictures."""
    with suppress(PipelineError), opened_side(put(data, folder / "x.npy")) as side:
        assert isinstance(side, Side)
        side.logits(np.zeros((2, 4, 4, 3), np.uint8))


def tflite(data: bytes, folder: Path) -> None:
    """Read a network of TensorFlow Lite; running it is done in a process with limits."""
    with suppress(PipelineError):
        read_tflite(put(data, folder / "x.tflite"))


def set_with(name: str, beside: Mapping[str, bytes]) -> Callable[[bytes, Path], None]:
    """Return a reader of a data set with a file of this name and the others `beside` it."""

    def read(data: bytes, folder: Path) -> None:
        place = folder / f"set with {name}"
        place.mkdir(exist_ok=True)
        for other, content in beside.items():
            put(content, place / other)
        put(data, place / name)
        with suppress(PipelineError):
            split = open_dataset(place).split("evaluation")
            for _ in split.batches(Preprocessing(8, 8, 3, fit="pad"), 4, lambda *_: None, damaged_share=1.0):
                pass

    return read


def matrix(data: bytes, folder: Path) -> None:
    """Read a matrix."""
    with suppress(PipelineError):
        load_matrix(put(data, folder / "matrix.toml"), None)


def devices(data: bytes, folder: Path) -> None:
    """Read the named devices."""
    with suppress(PipelineError):
        known_devices(put(data, folder / "devices.toml"))


def part(data: bytes, folder: Path) -> None:
    """Read a part of a validation."""
    put(data, folder / RECORD)
    with suppress(PipelineError):
        read_part(folder)


def stored_entry(data: bytes, folder: Path) -> None:
    """Read an entry of the store."""
    entry = folder / ("0" * 32)
    entry.mkdir(exist_ok=True)
    put(data, entry / MANIFEST)
    with suppress(Damaged):
        read_stored("answer", entry)


def unit(data: bytes, folder: Path) -> None:
    """Read the settings of a unit that is repeated."""
    (folder / REQUESTS).mkdir(exist_ok=True)
    put(data, folder / REQUESTS / "0a.json")
    with suppress(PipelineError):
        read_request(folder, "0a")


def tuned(data: bytes, folder: Path) -> None:
    """Read tuned tiles."""
    database.load.cache_clear()
    with suppress(TargetError):
        database.load(put(data, folder / "avx2-25.1.json"))


def report(data: bytes, folder: Path) -> None:  # noqa: ARG001 - it needs no file
    """Read a report."""
    with suppress(PipelineError):
        Report.parse(data, "report.json")


def board(data: bytes, folder: Path) -> None:  # noqa: ARG001 - it needs no file
    """Read a board's description of itself."""
    with suppress(TargetError), sensible("board", "what it is"):
        assert checked(BoardFacts, json_answer(data.decode(errors="replace"))).identity


def times(data: bytes, folder: Path) -> None:  # noqa: ARG001 - it needs no file
    """Read a board's measurements."""
    with suppress(TargetError), sensible("board", "its times"):
        measurements(data.decode(errors="replace"), Settings(), 1)


def imagenet(data: bytes, folder: Path) -> None:
    """Read ImageNet's pictures by Kaggle's list."""
    place = folder / "imagenet"
    (place / "val").mkdir(parents=True, exist_ok=True)
    for number in (1, 2):
        put(PNG, place / "val" / f"ILSVRC2012_val_{number:08}.JPEG")
    put(data, place / "LOC_val_solution.csv")
    with suppress(PipelineError):
        assert open_dataset(place).classes


PNG = (CORPUS / "png" / "2_8").read_bytes()[1:]
IDX_LABELS = struct.pack(">BBBBI", 0, 0, 8, 1, 2) + bytes((0, 1))
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
    "safetensors": safetensors_file,
    "torch before zip": weights,
    "tar of torch": weights,
    "recorded logits": recorded_logits,
    "tflite": tflite,
    "packed images": set_with("test_jpeg.npz", {"classes.txt": b"a\nb\n"}),
    "idx": set_with("t10k-images-idx3-ubyte", {"t10k-labels-idx1-ubyte": IDX_LABELS}),
    "gzipped idx": set_with("t10k-images-idx3-ubyte.gz", {"t10k-labels-idx1-ubyte": IDX_LABELS}),
    "batch of CIFAR-10": set_with(TEST[0], {"batches.meta": pickle.dumps({b"label_names": [b"a", b"b"]})}),
    "shard": set_with("val.tar", {}),
    "packed shard": set_with("val.tar.gz", {}),
    "ImageNet's list": imagenet,
    "matrix": matrix,
    "devices": devices,
    "part": part,
    "stored entry": stored_entry,
    "unit": unit,
    "tuned": tuned,
    "report": report,
    "board": board,
    "times": times,
}
