"""External data: the files in which an ONNX file stores its weights, if not in itself.

https://onnx.ai/onnx/repo-docs/ExternalData.html: each tensor names a path relative to the ONNX file's folder.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # onnx brings it
from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto

from calibration.onnx_text import check_utf8
from pipeline.cache.digest import InputFile
from pipeline.errors import CheckpointError, NoSuchModelError, OtherKindError
from pipeline.models.other_kinds import of_another_kind, of_text
from pipeline.reading.plain_file import is_plain
from pipeline.reading.reading_limits import ONNX_BYTES


def external_files(path: Path) -> tuple[Path, ...]:
    """Return the data files of the ONNX file at `path`, each once, in the order of their names.

    Raises CheckpointError for a file that is not an ONNX model, and for a data file that is missing, shorter
    than the tensors in it, or outside the ONNX file's folder, also by a link.
    """
    try:
        if not path.exists():
            raise NoSuchModelError(f"There is no ONNX file {path}.")
        if not is_plain(path):
            raise NoSuchModelError(f"{path} is a folder, a pipe or a device, not an ONNX file.")
        if path.stat().st_size > ONNX_BYTES:
            raise CheckpointError(f"{path} is longer than {ONNX_BYTES:,} bytes.")
        model = onnx.load(path, load_external_data=False)
        check_utf8(model)
    except (OSError, DecodeError, ValueError) as error:
        if other := _of_another_kind(path):
            raise OtherKindError(other) from error
        what = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path} is not a valid ONNX model: {what}. Copy it again, or export it again."
        ) from error
    ends: dict[str, int] = {}
    for tensor in tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            location, end = _place(path, tensor)
            ends[location] = max(end, ends.get(location, 0))
    files = tuple(_file(path, location, end) for location, end in sorted(ends.items()))
    if sum(file.stat().st_size for file in files) > ONNX_BYTES:
        raise CheckpointError(f"{path} keeps weights in files of more than {ONNX_BYTES:,} bytes.")
    return files


def _of_another_kind(path: Path) -> str | None:
    """Name the format of a file that is not ONNX, and what to do. None: its first bytes do not show it."""
    with path.open("rb") as file:
        begin = file.read(8)
    if begin.startswith((b"PK\x03\x04", b"\x89HDF")):
        return (
            f"{path} is not ONNX but a file of weights, as torch or Keras save them. Give it with"
            " --checkpoint and name the network with --model, or export the network to ONNX."
        )
    it, wanted = "a network", "ONNX file"
    return of_another_kind(path, it, wanted) or of_text(path, it, wanted)


def input_onnx(path: Path) -> InputFile:
    """Return the ONNX file at `path` and its data files as one input. Raises as `external_files` does."""
    return InputFile.at(path, external_files(path))


def tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Yield every constant of a model, also those of subgraphs and functions."""
    graphs = [model.graph]
    for function in model.functions:
        yield from _of_nodes(function.node, graphs)
    while graphs:  # not by generators inside each other, which pass each constant through every level
        graph = graphs.pop()
        yield from graph.initializer
        yield from _of_sparse(graph.sparse_initializer)
        yield from _of_nodes(graph.node, graphs)


def _of_nodes(nodes: Iterable[NodeProto], graphs: list[GraphProto]) -> Iterator[TensorProto]:
    """Yield the constants of nodes, and add the graphs inside them to `graphs`."""
    for node in nodes:
        for attribute in node.attribute:
            yield from attribute.tensors
            yield from _of_sparse(attribute.sparse_tensors)
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("sparse_tensor"):
                yield from _of_sparse((attribute.sparse_tensor,))
            if attribute.HasField("g"):
                graphs.append(attribute.g)
            graphs.extend(attribute.graphs)


def _of_sparse(sparse: Iterable[SparseTensorProto]) -> Iterator[TensorProto]:
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def _place(path: Path, tensor: TensorProto) -> tuple[str, int]:
    """Return the data file of a tensor, and the offset at which the tensor ends; 0 if that is not given."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    try:
        offset, length = (int(entries.get(key) or 0) for key in ("offset", "length"))
    except ValueError as error:
        raise CheckpointError(
            f"{path}: the offset or length of the tensor {tensor.name!r} is not a number."
        ) from error
    if len(entries) < len(tensor.external_data):
        raise CheckpointError(
            f"{path}: the tensor {tensor.name!r} says twice where it is, and readers would differ on that."
            " Export the model again."
        )
    location = entries.get("location", "")
    if offset < 0 or length < 0 or not PurePosixPath(location).parts or "\0" in location:
        raise CheckpointError(
            f"{path}: the tensor {tensor.name!r} has the offset {offset} and length {length} in the data file"
            f" {location!r}. Export the model again."
        )
    return location, offset + length


def _file(path: Path, location: str, end: int) -> Path:
    named = PurePosixPath(location)
    file = path.parent / named
    outside = named.is_absolute() or ".." in named.parts
    if outside or not file.resolve().is_relative_to(path.parent.resolve()):
        raise CheckpointError(
            f"{path} keeps weights in {location}, which leads out of its folder; nothing was read from there."
            " Put the data file beside the model, and no link to it, or export the model as one file."
        )
    if not is_plain(file):
        raise CheckpointError(
            f"{path} keeps weights in {file}, which is not there. Copy that file too; the model is worth"
            " nothing without it."
        )
    size = file.stat().st_size
    if size < end:
        raise CheckpointError(
            f"{path} keeps weights in {file}, which has {size:,} bytes of at least {end:,}. Copy it again."
        )
    return file
