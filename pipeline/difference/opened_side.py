"""Opens what is compared from its path."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.difference.engine_side import bundle_side, engine_side
from pipeline.difference.side import Array, Pictures, Side, Unprepared
from pipeline.errors import UsageError
from pipeline.npy_file import read_header
from pipeline.plain_file import is_plain
from targets.runtime.bundle.signature import PublicKey

CHECKPOINTS = (".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".keras")


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
    if path.is_dir():
        path = _of_folder(path)
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


def _of_folder(folder: Path) -> Path:
    for name in ("model.engine", "model.int8.onnx", "model.onnx"):
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f"{folder} has no model.engine, model.int8.onnx or model.onnx: build there first.")


def _recorded(path: Path) -> Side:
    if not is_plain(path):
        raise UsageError(f"{path} is not a file of recorded logits.")
    try:
        with path.open("rb") as file:
            header = read_header(file, path.stat().st_size)
    except ValueError as error:
        raise UsageError(f"{path} cannot be read as recorded logits: it {error}.") from error
    if len(header.shape) < 2 or not header.size:
        raise UsageError(
            f"{path} holds {header.dtype} {list(header.shape)}; recorded logits are numbers"
            " [images, classes]."
        )
    order: Literal["F", "C"] = "F" if header.is_fortran else "C"
    values = np.memmap(path, header.dtype, "r", header.start, header.shape, order)

    def recorded(pictures: Pictures) -> Array:
        if len(values) < len(pictures):
            raise UsageError(
                f"{path} has logits of {len(values)} images; {len(pictures)} are compared. Give --images"
                f" {len(values)}, and images in the order in which the logits were recorded."
            )
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
            found = np.asarray(values[: len(pictures)], np.float32)
        wrong = np.flatnonzero(~np.isfinite(found.reshape(len(found), -1)).all(1))
        if len(wrong):
            raise UsageError(
                f"{path}: the logits of image {wrong[0]} are not all finite numbers ({len(wrong)} of"
                f" {len(found)} images), so there is nothing to compare. Record them again."
            )
        return found

    return Side(str(path), recorded, None, None)
