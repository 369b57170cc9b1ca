"""A file for each reader that it takes: changes start from these."""

import gzip
import io
import json
import pickle
import struct
import tarfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np

from pipeline.build.parts import PartRecord, made_with
from pipeline.bundle.pack import pack
from pipeline.cache.digest import file_digest
from pipeline.config import BuildConfig
from targets.runtime.bundle.manifest import NAME
from targets.runtime.bundle.signature import Signature
from targets.runtime.machine import MachineState
from targets.runtime.measure import Measurement, to_json
from targets.tvm.tuning import database
from tests.attacks.bundles import ENGINE, digest, manifest
from tests.attacks.growing import network as growing_network
from tests.attacks.growing import node
from tests.fuzz.readers import CORPUS, put
from tests.pipeline.difference.foreign_files import write_tflite
from tests.pipeline.difference.small_pair import network, pictures
from tests.pipeline.report import samples

TOML = b'model = "resnet20-fashion"\n[calibration]\nimages = 7\n[validation]\nimages = 1_000\n'
MATRIX = b'models = ["resnet20-fashion"]\ntargets = ["host"]\n[[exclude]]\nmodel = "x*"\n'
DEVICES = b'[pi]\naddress = "ssh://me@pi"\nlabels = ["pi5"]\n'
SOLUTION = (
    b"ImageId,PredictionString\nILSVRC2012_val_00000001,n01440764 1 2 3 4\n"
    b"ILSVRC2012_val_00000002,n01443537 1 2 3 4 n01443537 5 6 7 8\n"
)
CSV = b"path,split,fine_name,fine_id\na.png,val,cat,0\nb.png,val,dog,1\n"


@cache
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


def _sound_safetensors(_: Path) -> bytes:
    import safetensors.numpy

    return safetensors.numpy.save({"conv1.weight": np.zeros((4, 3, 3, 3), np.float32)})


def _sound_old_torch(path: Path) -> bytes:
    import torch

    weights = {"state_dict": {"conv1.weight": torch.zeros(4, 3, 3, 3)}, "id2label": {"0": "a", "1": "b"}}
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    return path.read_bytes()


def _sound_tar(path: Path) -> bytes:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path.read_bytes()


def _sound_npy(_: Path) -> bytes:
    written = io.BytesIO()
    np.save(written, np.zeros((2, 10), np.float32))
    return written.getvalue()


def _sound_tflite(path: Path) -> bytes:
    return write_tflite(network(resizes=False), pictures(2), path).read_bytes()


def _sound_npz(_: Path) -> bytes:
    png = (CORPUS / "png" / "2_8").read_bytes()[1:]
    written = io.BytesIO()
    data, offsets = np.frombuffer(png * 2, np.uint8), np.array([0, len(png), 2 * len(png)], np.int64)
    np.savez(written, data=data, offsets=offsets, labels=np.array([0, 1]))
    return written.getvalue()


def _sound_shard(_: Path) -> bytes:
    png = (CORPUS / "png" / "2_8").read_bytes()[1:]
    files = {"a.png": png, "a.cls": b"0", "b.png": png + b"b", "b.json": b'{"cls": 1, "class_name": "b"}'}
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.pax_headers = {"comment": "b" * 9} if name == "b.png" else {}
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()


def _sound_idx(_: Path) -> bytes:
    return struct.pack(">BBBBIII", 0, 0, 8, 3, 2, 8, 8) + bytes(128)


def _sound_batch(_: Path) -> bytes:
    batch = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1]}
    return pickle.dumps(batch, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def _sound_part(_: Path) -> bytes:
    record = PartRecord(build="b", number=1, of=2, units=("0" * 64,), products=(), made_with=made_with())
    return record.to_json().encode()


def _sound_entry(path: Path) -> bytes:
    entry = path.parent / ("0" * 32)
    entry.mkdir(exist_ok=True)
    put(b"{}", entry / "answers.json")
    files = {"answers.json": file_digest(entry / "answers.json")}
    return json.dumps({"stage": "answer", "key": "0" * 64, "files": files}).encode()


def _sound_tiles(_: Path) -> bytes:
    return (database.COMMITTED / "avx512vnni-26.2.json").read_bytes()


def _sound_board(_: Path) -> bytes:
    said: dict[str, object] = {
        "python": [3, 11, 2],
        "machine": "aarch64",
        "system": "Linux",
        "board": "Raspberry Pi 5",
    }
    said |= {"cpu_parts": ["0xd0b"], "cpu_flags": ["asimddp"], "cores": 4, "memory_bytes": 1 << 33}
    said |= {"free_bytes": 1 << 33, "numpy": "1.24", "opencv": None, "onnxruntime": None}
    return json.dumps(said).encode()


def _sound_times(_: Path) -> bytes:
    state = MachineState(("performance",), (2400.0,), 51.0, 3, 0.2, 4)
    return to_json([Measurement((10, 20), 1, 0, 1, True, "precise", 0.0, state, state, None)]).encode()


SOUND: Mapping[str, Callable[[Path], bytes]] = {
    "bundle": lambda path: gzip.decompress(_sound_bundle(path)),
    "packed bundle": _sound_bundle,
    "manifest": lambda _: (CORPUS / "manifest" / "sound.json").read_bytes(),
    "keys": lambda _: Signature(bytes(32), bytes(64)).to_json().encode(),
    "settings": lambda _: TOML,
    "engine": lambda _: (CORPUS / "footer" / "sound").read_bytes(),
    "network": lambda _: bytes(growing_network(node("Relu", ["r"], ["q"])).SerializeToString()),
    "weights": _sound_weights,
    "keras": _sound_keras,
    "labels": lambda _: CSV,
    "picture": lambda _: (CORPUS / "png" / "2_8").read_bytes()[1:],
    "safetensors": _sound_safetensors,
    "torch before zip": _sound_old_torch,
    "tar of torch": _sound_tar,
    "recorded logits": _sound_npy,
    "tflite": _sound_tflite,
    "packed images": _sound_npz,
    "idx": _sound_idx,
    "gzipped idx": lambda path: gzip.compress(_sound_idx(path)),
    "batch of CIFAR-10": _sound_batch,
    "shard": _sound_shard,
    "packed shard": lambda path: gzip.compress(_sound_shard(path)),
    "ImageNet's list": lambda _: SOLUTION,
    "matrix": lambda _: MATRIX,
    "devices": lambda _: DEVICES,
    "part": _sound_part,
    "stored entry": _sound_entry,
    "unit": lambda _: BuildConfig().model_dump_json().encode(),
    "tuned": _sound_tiles,
    "report": lambda _: samples.report().to_json().encode(),
    "board": _sound_board,
    "times": _sound_times,
}
