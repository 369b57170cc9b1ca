"""Reads a file of weights; its bytes decide its kind, not its name. Nothing in it is executed."""

import argparse
import os
import pickle
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from pipeline.errors import CheckpointError, OtherKindError
from pipeline.models.other_kinds import of_another_kind, of_text
from pipeline.models.weights.safetensors_header import check_header
from pipeline.models.weights.state_dicts import DEPTH
from pipeline.models.weights.tensor_bounds import check_places, check_tensors
from pipeline.models.weights.torchscript import read_torchscript
from pipeline.reading.pickle_steps import PICKLES, check_steps
from pipeline.reading.plain_file import is_plain, is_tar
from pipeline.reading.reading_limits import PACKED_TIMES
from pipeline.reading.zip_file import is_zip, open_zip

ADVICE = "Save only the tensors: torch.save(model.state_dict(), ...), or a .safetensors file."

JOIN = (
    "Join all parts into one file: safetensors.torch.save_file({key: value for part in PARTS"
    " for key, value in safetensors.torch.load_file(part).items()}, NEW_PATH)."
)
PART = re.compile(r"-(\d+)-of-0*([2-9]|[1-9]\d+)\.\w+$")
"""The end of the names that Hugging Face's libraries give to parts of large files."""

DAMAGE = (
    pickle.UnpicklingError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What zipfile, tarfile and torch.load raise for truncated and damaged files."""

OF_FLAX = (".msgpack", ".flax")
"""Endings of files that flax.serialization writes."""
IT, WANTED = "weights", "file of weights"
"""The words for weights in messages about files of other formats."""


def read_content(path: Path) -> Mapping[object, object]:
    """Return the file's content by name, not converted.

    Raises CheckpointError for a file that is damaged, could run code, or is of another kind.
    """
    if not is_plain(path):
        raise CheckpointError(f"{path} is a folder, a pipe or a device, not a file of weights.")
    with path.open("rb") as file:
        begin = file.read(64)
    _refuse_part(path)
    _refuse_other_libraries(path)
    if path.suffix == ".safetensors" or _is_safetensors(begin):
        return _read_safetensors(path)
    if other := of_another_kind(path, IT, WANTED):
        raise OtherKindError(other)
    if (path.suffix == ".onnx" and not is_zip(path)) or begin[4:8] == b"TFL3":
        raise CheckpointError(f"{path} is a network, not weights for one. ONNX is built with --model {path}.")
    if path.suffix == ".index" or path.name.endswith(".pb"):
        raise CheckpointError(f"{path} is of TensorFlow; of that, Keras' .h5 and .keras are read.")
    try:
        if is_tar(path) and not is_zip(path):
            raise CheckpointError(_of_tar(path))
        content = _read_zip(path) if is_zip(path) else _read_unpacked(path)
        check_tensors(content, path)
        check_places(content, path, DEPTH)
    except DAMAGE as error:
        if text := of_text(path, IT, WANTED):
            raise OtherKindError(text) from error
        raise CheckpointError(
            f"{path} is truncated, or not a torch file ({_first_sentence(error)}). Copy or download it again."
        ) from error
    return content


def _refuse_part(path: Path) -> None:
    """Raise CheckpointError for one of several files that only together hold the weights, or their list."""
    if path.name.endswith(".index.json"):
        raise CheckpointError(f"{path} lists the parts of a network's weights. {JOIN}")
    if part := PART.search(path.name):
        raise CheckpointError(f"{path} is part {int(part[1])} of {part[2]} of a network's weights. {JOIN}")


def _refuse_other_libraries(path: Path) -> None:
    """Raise CheckpointError for files of Flax, and of torch's distributed checkpoints."""
    if path.suffix in OF_FLAX:
        raise CheckpointError(
            f"{path} is of Flax, whose kernels are transposed and named otherwise. Load them into the network"
            " in torch and save its state_dict, or export the network to ONNX."
        )
    if path.suffix == ".distcp":
        raise CheckpointError(
            f"{path} is a part of a distributed checkpoint of torch. Join it:"
            " torch.distributed.checkpoint.format_utils.dcp_to_torch_save(FOLDER, NEW_PATH)."
        )


def _is_safetensors(begin: bytes) -> bool:
    """Whether it begins with a header's length and the header with a brace (the format's specification)."""
    return begin[8:9] == b"{" and 0 < int.from_bytes(begin[:8], "little") < 2**27


def _read_safetensors(path: Path) -> Mapping[object, object]:
    content: dict[object, object] = {}
    try:
        check_header(path)
        content.update(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, *DAMAGE) as error:
        raise CheckpointError(f"{path} is damaged, or not a safetensors file ({error}).") from error
    return content


def _read_zip(path: Path) -> Mapping[object, object]:
    """Read torch's present format, or TorchScript, which is a zip with source code in it."""
    with open_zip(path) as archive:
        names = archive.namelist()
        claimed = sum(member.file_size for member in archive.infolist())
    if claimed > PACKED_TIMES * max(path.stat().st_size, 1 << 20):
        raise CheckpointError(f"{path} unpacks to {claimed:,} bytes, which weights do not. Save it again.")
    with open_zip(path) as archive:
        for name in (one for one in names if one.endswith("data.pkl")):
            with archive.open(name) as pickled:
                check_steps(pickled)
    if any(name.endswith("config.json") for name in names) and any(name.endswith(".h5") for name in names):
        raise CheckpointError(f"{path} is a Keras file; give its name the ending .keras.")
    if any(name.endswith("/constants.pkl") for name in names):
        try:
            return read_torchscript(path)
        except pickle.UnpicklingError as error:
            raise CheckpointError(f"{path} is damaged TorchScript ({_first_sentence(error)}).") from error
    if any(name.endswith("/archive_format") for name in names) or path.suffix == ".pt2":
        raise CheckpointError(
            f"{path} is a program of torch.export. Save its weights:"
            " torch.save(dict(torch.export.load(PATH).state_dict), NEW_PATH)."
        )
    if names and all(name.endswith(".npy") for name in names):
        raise CheckpointError(
            f"{path} holds arrays of NumPy. Save them as safetensors:"
            " safetensors.numpy.save_file(dict(numpy.load(PATH)), NEW_PATH)."
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(
            f"{path} is a zip without weights of torch in it ({len(names)} files). Unpack it and name the"
            " file of weights in it."
        )
    return _read_torch(path)


def _read_unpacked(path: Path) -> Mapping[object, object]:
    """Read torch's format before 1.6, pickles with the tensors behind them."""
    with path.open("rb") as file:
        check_steps(file, PICKLES)
    return _read_torch(path)


def _of_tar(path: Path) -> str:
    names = list(islice(_tar_names(path), 20))
    if {"storages", "tensors"} <= set(names):
        return (
            f"{path} is in the format of torch before 0.1.10, a tar that cannot be read without running code"
            " from it. If you trust it, save its tensors again: torch.save(torch.load(PATH,"
            " weights_only=False), NEW_PATH)."
        )
    return f"{path} is a tar of files ({', '.join(names[:3])}). Unpack it and name the file of weights in it."


def _tar_names(path: Path) -> Iterator[str]:
    """Yield the names of a tar's files. Extended headers of any length are files here, and not read."""
    with path.open("rb") as file:
        while any(block := file.read(tarfile.BLOCKSIZE)):
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            yield header.name
            file.seek(-(-max(0, header.size) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE, os.SEEK_CUR)


def _read_torch(path: Path) -> Mapping[object, object]:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # plain values; many keep their options
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error) and (text := of_text(path, IT, WANTED)):  # a pickle can be text, too
            raise OtherKindError(text) from error
        if "numpy" in _refused(error) and "reconstruct" in _refused(error):
            raise CheckpointError(
                f"{path} holds arrays of NumPy, which are not read from a pickle. If you trust it,"
                " save tensors: torch.save({key: torch.as_tensor(value) for key, value in ARRAYS.items()},"
                " NEW_PATH)."
            ) from error
        raise CheckpointError(
            f"{path} is damaged, or holds Python objects that could run code when loaded; nothing of it was"
            f" run ({_refused(error)}). {ADVICE}"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not weights by name. {ADVICE}")
    return content


def _refused(error: pickle.UnpicklingError) -> str:
    """Return the name that torch refused to load, if its message contains one."""
    name = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f"it names {name[1]}" if name else _first_sentence(error)


def _first_sentence(error: BaseException) -> str:
    """Return the first sentence of torch's long messages."""
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0].rstrip(".") if lines else type(error).__name__
