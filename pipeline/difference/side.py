"""Opens what is compared: an ONNX file, an engine, a bundle, a folder of a build, or recorded logits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.metrics import logits
from calibration.onnx_graph import IMAGE
from pipeline.errors import CheckpointError, UsageError
from pipeline.plain_file import is_plain
from targets.runtime.bundle.signature import PublicKey

Array = NDArray[Any]
Pictures = NDArray[np.uint8]
BATCH = 32


@dataclass(frozen=True)
class Side:
    """One of the two forms of a network."""

    name: str
    logits: Callable[[Pictures], Array]
    """Returns logits [N, classes, ...] for pictures uint8 [N, H, W, C]."""
    graph: onnx.ModelProto | None
    """What it computes, where that can be looked into."""
    size: tuple[int, int, int] | None
    """Height, width and channels of the pictures it takes; None if it was recorded."""


def takes_pixels(model: onnx.ModelProto) -> bool:
    """Whether a graph takes raw pixels, uint8 [N, H, W, C] called `image`, as all graphs of edgec do."""
    inputs = list(model.graph.input)
    if [one.name for one in inputs] != [IMAGE]:
        return False
    tensor = inputs[0].type.tensor_type
    return bool(tensor.elem_type == onnx.TensorProto.UINT8 and len(tensor.shape.dim) == 4)


@contextmanager
def opened_side(path: Path, trusted: Sequence[PublicKey] = ()) -> Iterator[Side]:
    """Open a side from its path. With `trusted` keys, one of them must have signed a bundle.

    Raises UsageError, CheckpointError, or what a bundle or engine raises.
    """
    if path.is_dir():
        path = _of_folder(path)
    match path.suffix:
        case ".onnx":
            yield onnx_side(path)
        case ".npy":
            yield _recorded(path)
        case ".edgec":
            with _of_bundle(path, trusted) as engine:
                yield engine
        case ".engine":
            with _engine(path, path.with_name("model.int8.onnx"), str(path)) as engine:
                yield engine
        case _:
            raise UsageError(
                f"{path} is not something to compare. Give an .onnx, an .engine, a bundle (.edgec), the"
                " folder of a build, or recorded logits (.npy)."
            )


def _of_folder(folder: Path) -> Path:
    for name in ("model.engine", "model.int8.onnx", "model.onnx"):
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f"{folder} has no model.engine, model.int8.onnx or model.onnx: build there first.")


def onnx_side(path: Path, name: str | None = None) -> Side:
    """Return an ONNX file of edgec's form as a side. Raises CheckpointError for other files."""
    model = _bounded_graph(path)
    if not takes_pixels(model):
        raise CheckpointError(
            f"{path} does not take pixels. Bring it into edgec's form first, with the normalisation inside:"
            f" edgec export --model {path} -o pixels.onnx"
        )
    dims = model.graph.input[0].type.tensor_type.shape.dim
    size = (dims[1].dim_value, dims[2].dim_value, dims[3].dim_value)
    return Side(name or str(path), lambda pictures: graph_logits(model, pictures), model, size)


def _bounded_graph(path: Path) -> onnx.ModelProto:
    """Read a graph that somebody else may have written, and see that its tensors are of usual sizes."""
    from pipeline.models.foreign.onnx_file import read_onnx
    from pipeline.models.foreign.rehearsal import rehearse_shapes

    model = read_onnx(path)
    rehearse_shapes(model, path)
    return model


def graph_logits(model: onnx.ModelProto, pictures: Pictures) -> Array:
    """Return what a graph means: its logits from onnxruntime, operator by operator, without fusion."""
    return logits(model, _batches(pictures), as_written=True)


def _batches(pictures: Pictures) -> Iterator[Pictures]:
    for start in range(0, len(pictures), BATCH):
        yield pictures[start : start + BATCH]


def _recorded(path: Path) -> Side:
    if not is_plain(path):
        raise UsageError(f"{path} is not a file of recorded logits.")
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as recorded logits: {error}") from error
    if values.ndim < 2 or not np.issubdtype(values.dtype, np.number):
        raise UsageError(
            f"{path} holds {values.dtype} {list(values.shape)}; recorded logits are numbers"
            " [images, classes]."
        )

    def recorded(pictures: Pictures) -> Array:
        if len(values) < len(pictures):
            raise UsageError(
                f"{path} has logits of {len(values)} images; {len(pictures)} are compared. Give --images"
                f" {len(values)}, and images in the order in which the logits were recorded."
            )
        return np.asarray(values[: len(pictures)], np.float32)

    return Side(str(path), recorded, None, None)


@contextmanager
def _engine(path: Path, graph: Path, name: str) -> Iterator[Side]:
    from targets.errors import EngineError
    from targets.runtime.native_runner import open_engine, read_engine

    try:
        metadata, _ = read_engine(path)
        model = _bounded_graph(graph) if graph.is_file() else None
        with open_engine(path, 1) as runner:
            yield Side(name, runner.infer, model, tuple(metadata["image"]))
    except (OSError, ValueError) as error:
        raise EngineError(str(error)) from error


@contextmanager
def _of_bundle(path: Path, trusted: Sequence[PublicKey]) -> Iterator[Side]:
    import tempfile

    from pipeline.bundle.contents import opened

    with (
        tempfile.TemporaryDirectory(prefix="edgec-diff-") as folder,
        opened(path, trusted) as held,
    ):
        manifest = held.manifest
        engine = Path(folder) / Path(manifest.engine).name
        engine.write_bytes(held.read(manifest.engine))
        match manifest.runner:
            case "native_runner":
                with _engine(engine, path.with_suffix("") / "model.int8.onnx", str(path)) as side:
                    yield side
            case "reference_runner":
                yield onnx_side(engine, str(path))
            case _:
                raise UsageError(
                    f"{path} is for {manifest.target}, whose engine runs on the device alone. Give the folder"
                    " of its build, which has the Q/DQ network."
                )
