"""Opens what is compared from its path."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.difference.engine_side import bundle_side, engine_side
from pipeline.difference.jetson_side import is_jetson_build, jetson_side
from pipeline.difference.side import Array, Pictures, Side, Unprepared
from pipeline.errors import UsageError
from pipeline.reading.npy_file import read_header
from pipeline.reading.plain_file import is_plain
from pipeline.reading.reading_limits import LOGITS_VALUES
from targets.runtime.bundle.signature import PublicKey

OF_BUILDS = ("model.engine", "model.int8.onnx", "model.onnx")
"""What a build's folder has, the most interesting first."""
OF_TENSORRT, TENSORRT_MAGIC = (".plan", ".trt"), b"ftrt"
CHECKPOINTS = (".pt", ".pth", ".th", ".ckpt", ".safetensors", ".h5", ".keras")


@contextmanager
def opened_side(
    path: Path,
    trusted: Sequence[PublicKey] = (),
    model: str | None = None,
    device: str | None = None,
) -> Iterator[Side | Unprepared]:
    """Open a side from its path. With `trusted` keys, one of them must have signed a bundle.

    model: the architecture of a checkpoint; if None, what its weights fit. device: ssh://..., where an engine
    runs. Raises UsageError, CheckpointError, or what a bundle, engine or device raises.
    """
    if path.is_dir() and (recorded := _recorded_files(path)):
        yield _recorded_folder(path, recorded)
        return
    if path.is_dir() and device is not None and is_jetson_build(path):
        with jetson_side(path, device) as side:
            yield side
        return
    if path.is_dir():
        path = _of_folder(path)
    _refuse_tensorrt(path)
    match path.suffix:
        case ".onnx":
            from pipeline.difference.onnx_side import onnx_side

            yield onnx_side(path)
        case ".tflite":
            from pipeline.difference.tflite.interpreted import tflite_side

            yield tflite_side(path)
        case suffix if suffix in CHECKPOINTS:
            from pipeline.difference.checkpoint_side import checkpoint_side

            yield checkpoint_side(path, model)
        case ".npy":
            yield _recorded(path)
        case ".edgec":
            with bundle_side(path, trusted, device) as side:
                yield side
        case ".engine":
            with engine_side(path, path.with_name("model.int8.onnx"), str(path), device) as side:
                yield side
        case _:
            raise UsageError(
                f"{path} is not something to compare. Give an .onnx, a .tflite, a checkpoint"
                f" ({', '.join(CHECKPOINTS)}), an .engine, a bundle (.edgec), the folder of a build, or"
                " recorded logits (.npy)."
            )


def _refuse_tensorrt(path: Path) -> None:
    """Raise UsageError for a serialised engine of TensorRT, by its name or its first bytes."""
    begins = b""
    if is_plain(path):
        with path.open("rb") as file:
            begins = file.read(len(TENSORRT_MAGIC))
    if path.suffix in OF_TENSORRT or begins == TENSORRT_MAGIC:
        raise UsageError(
            f"{path} is TensorRT's, and can be looked into only on its device. Give the ONNX file that it was"
            " built from, its logits (.npy), or the folder of a build for a Jetson with --device."
        )


def _recorded_files(folder: Path) -> list[Path]:
    """Return the recorded logits in a folder that is not a build, in the order of their names."""
    if any((folder / name).is_file() for name in OF_BUILDS):
        return []
    return sorted(folder.glob("*.npy"))


def _recorded_folder(folder: Path, files: list[Path]) -> Side:
    """Return logits that were recorded picture by picture, [classes] or [1, classes] each."""
    sizes = sorted({_loaded(one).size for one in files})  # one open at a time: there may be any number
    if len(sizes) > 1:
        raise UsageError(
            f"The recorded logits in {folder} are of {' and '.join(map(str, sizes))} classes. Give a folder"
            " of one network's, a file a picture."
        )
    note = (
        f"{folder}: {len(files)} files of recorded logits, taken in the order of their names for the pictures"
        " in the order of theirs"
    )
    names = tuple(one.stem for one in files)

    def logits(pictures: Pictures) -> Array:
        rows = [_loaded(one).reshape(-1).astype(np.float32) for one in files[: len(pictures)]]
        if {len(row) for row in rows} != set(sizes):
            raise UsageError(f"The recorded logits in {folder} were changed meanwhile. Compare again.")
        return _first(folder, np.stack(rows), len(pictures))

    return _given(folder, logits, note, len(names), names)


def _of_folder(folder: Path) -> Path:
    for name in OF_BUILDS:
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f"{folder} has no model.engine, model.int8.onnx or model.onnx: build there first.")


def _loaded(path: Path) -> Array:
    if not is_plain(path):
        raise UsageError(f"{path} is not a file of recorded logits.")
    try:
        with path.open("rb") as file:
            header = read_header(file, path.stat().st_size)
    except ValueError as error:
        raise UsageError(f"{path} cannot be read as recorded logits: it {error}.") from error
    if not header.size or not header.shape:
        raise _no_logits(path, header.dtype, header.shape)
    of_one = header.values // (header.shape[0] if len(header.shape) > 1 else 1)
    if of_one > LOGITS_VALUES:  # a file with holes takes nothing on the disk
        raise UsageError(
            f"{path} has {of_one:,} recorded logits for each picture; up to {LOGITS_VALUES:,} are read."
        )
    order: Literal["F", "C"] = "F" if header.is_fortran else "C"
    return np.memmap(path, header.dtype, "r", header.start, header.shape, order)


def _no_logits(path: Path, dtype: object, shape: tuple[int, ...]) -> UsageError:
    return UsageError(f"{path} holds {dtype} {list(shape)}; recorded logits are numbers [images, classes].")


def _recorded(path: Path) -> Side:
    values = _loaded(path)
    if values.ndim < 2:
        raise _no_logits(path, values.dtype, values.shape)
    note = (
        f"{path}: recorded logits of {len(values)} pictures, in the order of those that are named, or of the"
        " evaluation images"
    )
    return _given(path, lambda pictures: _first(path, values, len(pictures)), note, len(values))


def _given(
    path: Path, logits: Callable[[Pictures], Array], note: str, count: int, names: tuple[str, ...] = ()
) -> Side:
    """Return logits of `count` pictures, called `names`, that were given instead of a network."""
    return Side(str(path), logits, graph=None, size=None, notes=(note,), recorded=count, recorded_of=names)


def _first(path: Path, values: Array, count: int) -> Array:
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
        found = np.asarray(values[:count], np.float32)
    wrong = np.flatnonzero(~np.isfinite(found.reshape(len(found), -1)).all(1))
    if len(wrong):
        raise UsageError(
            f"{path}: the logits of image {wrong[0]} are not all finite numbers ({len(wrong)} of"
            f" {len(found)} images), so there is nothing to compare. Record them again."
        )
    return found
