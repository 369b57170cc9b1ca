"""A file is read by what is in it; one that is no weights is told what it is."""

import gzip
import io
import os
import pickle
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from pipeline.errors import CheckpointError
from pipeline.models.checkpoint import read_weights
from pipeline.models.weights.content import read_content
from tests.attacks.pickled import Attack


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.inner = nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(self.conv(x))
        return out


@pytest.mark.parametrize("name", ["last.ckpt", "best.pth.tar", "net.th", "pytorch_model.bin", "no-ending"])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_the_name_does_not_matter(name: str, kind: str, tmp_path: Path) -> None:
    weights, path = Network().state_dict(), tmp_path / name
    if kind == "safetensors":
        safetensors.torch.save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind == "zip")
    found = read_content(path)
    assert found.keys() == weights.keys()


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("how", ["trace", "script"])
def test_torchscript_gives_its_weights(how: str, half: bool, tmp_path: Path) -> None:
    network = Network().eval()
    image = torch.zeros(1, 3, 8, 8)
    with torch.no_grad():
        trace: Any = torch.jit.trace
        made = trace(network, image) if how == "trace" else torch.jit.script(network)
    if half:
        made = made.half()
    torch.jit.save(made, str(tmp_path / "net.pt"))
    found = read_content(tmp_path / "net.pt")
    expected = made.state_dict()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        there = found[key]
        assert isinstance(there, torch.Tensor)
        assert torch.equal(there, value)


def test_frozen_torchscript_says_where_its_weights_are(tmp_path: Path) -> None:
    frozen = torch.jit.freeze(torch.jit.script(torch.nn.Conv2d(3, 4, 3).eval()))
    frozen.save(tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=r"holds no weights.*save it before torch\.jit\.freeze"):
        read_weights(tmp_path / "net.pt")


def test_torchscript_that_names_anything_else_is_refused_and_not_run(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "net.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickle.dumps(Attack(victim), protocol=2))
        archive.writestr("net/constants.pkl", pickle.dumps((), protocol=2))
    with pytest.raises(CheckpointError, match=r"damaged TorchScript \(it names \w+\.system"):
        read_content(path)
    assert not victim.exists()


def torchscript_tensor() -> bytes:
    """Pickle a tensor of four numbers in the file 0, as torch.jit.save does (pickletools: X K t Q R)."""
    storage = key("storage") + b"ctorch\nFloatStorage\n" + key("0") + key("cpu")
    whole = b"(" + storage + b"K\x04tQK\x00K\x04\x85K\x01\x85\x89}tR"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + whole


def key(name: str) -> bytes:
    return b"X" + struct.pack("<I", len(name)) + name.encode()


def torchscript(path: Path, pickled: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickled)
        archive.writestr("net/constants.pkl", pickle.dumps((), protocol=2))
        archive.writestr("net/data/0", bytes(16))
    return path


def test_numbers_that_many_names_have_are_read_once(tmp_path: Path) -> None:
    entries = b"".join(key(f"w{number}") + torchscript_tensor() for number in range(9))
    path = torchscript(tmp_path / "net.pt", b"\x80\2c__torch__\nNet\n)\x81}(" + entries + b"ub.")
    found = read_content(path)
    assert list(found) == [f"w{number}" for number in range(9)]
    assert len({one.data_ptr() for one in found.values() if isinstance(one, torch.Tensor)}) == 1


def test_modules_that_share_modules_do_not_multiply_without_end(tmp_path: Path) -> None:
    """Seventeen modules, each of which has the one before under two names: 2^17 paths."""
    pickled = b"\x80\x02c__torch__\nNet\n)\x81}bq\x00"
    for number in range(17):
        both = key("x") + b"h" + bytes([number]) + key("y") + b"h" + bytes([number])
        pickled += b"0c__torch__\nNet\n)\x81}(" + both + b"ubq" + bytes([number + 1])
    with pytest.raises(CheckpointError, match=r"over 100,000 modules, or some that hold themselves"):
        read_content(torchscript(tmp_path / "net.pt", pickled + b"."))


def safetensors_of(path: Path, header: bytes, numbers: int) -> Path:
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4 * numbers))
    return path


ONE = b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"{" + ONE + b"," + ONE + b"}", "'a' is in its list twice"),
        (b'{"a":{"dtype":"F32","shape":[' + b"1," * 99 + b'2],"data_offsets":[0,8]}}', "has 100 dimensions"),
        (b"{" + ONE + b" " * (8 << 20) + b"}", r"its list of tensors has 8,388,662 bytes; at most 8,388,608"),
        (b"[" * 90_000, "damaged, or not a safetensors file"),
    ],
)
def test_a_list_of_tensors_means_one_thing_and_is_bounded(header: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=why):
        read_content(safetensors_of(tmp_path / "net.safetensors", header, 2))
    assert read_content(safetensors_of(tmp_path / "net.safetensors", b"{" + ONE + b"}", 2)).keys() == {"a"}


def oldest_format() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return out.getvalue()


def packed(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, "text")
    return out.getvalue()


def of_several_disks() -> bytes:
    """Return a zip that says it goes on in another file (APPNOTE.TXT, 4.3.15)."""
    zipped, locator = packed("net/data.pkl"), struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 2)
    return zipped[:-22] + locator + zipped[-22:]


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", bytes(100 << 20))
    return out.getvalue()


OTHERS = {
    "torch's oldest": (oldest_format(), r"the format of torch before 0\.1\.10.*weights_only=False"),
    "gzip": (gzip.compress(b"weights"), "packed with gzip. Unpack it"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        "a pointer of Git LFS.*lfs pull",
    ),
    "a web page": (b"<!DOCTYPE html><title>Sign in</title>", "a web page, not weights"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(80), r"a Keras file; give its name the ending \.h5"),
    "a zip of pictures": (packed("photos/a.jpg"), "a zip without weights of torch in it"),
    "a zip of several disks": (of_several_disks(), "truncated, or not a torch file .*span multiple disks"),
    "a zip bomb": (bomb(), "unpacks to 104,857,600 bytes"),
    "tflite": (b"\x00\x00\x00\x00TFL3" + bytes(80), "is a network, not weights"),
    "GGUF": (b"GGUF\x03\0\0\0" + bytes(80), r"GGUF, llama\.cpp's format.*Give the checkpoint"),
    "NumPy": (b"\x93NUMPY" + bytes(80), "a NumPy array"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(80), "packed with zstd. Unpack it"),
    "text": ("Gewichte für die\r\n\tÄpfel".encode(), "is text, not weights. Name the file of weights"),
    "nothing": (b"", "truncated, or not a torch file.*download it again"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_kinds_of_files_are_told_what_they_are(name: str, tmp_path: Path) -> None:
    content, told = OTHERS[name]
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=told):
        read_content(path)


def test_a_tar_is_told_by_its_names_and_its_long_headers_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "net.pth.tar"
    claimed = tarfile.TarInfo("pax")
    claimed.type, claimed.size = tarfile.XHDTYPE, 1 << 30
    with path.open("wb") as file:
        file.write(claimed.tobuf(tarfile.USTAR_FORMAT))
        file.seek(claimed.size, os.SEEK_CUR)
        for number in range(30):
            file.write(tarfile.TarInfo(f"photos/{number}.jpg").tobuf(tarfile.USTAR_FORMAT))
        file.write(bytes(1024))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"a tar of files \(pax, photos/0\.jpg, photos/1\.jpg\)"):
            read_content(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
