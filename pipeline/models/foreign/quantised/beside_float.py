"""A quantised file that is given with its float model: who made it, and its input format."""

from pathlib import Path

from calibration import foreign_qdq
from pipeline.models.foreign.description import ForeignModel, description_file, read_foreign
from pipeline.models.foreign.onnx_file import read_onnx
from pipeline.models.model import Model


def is_ours(path: Path) -> bool:
    """Whether edgec made it. Raises CheckpointError if it cannot be read."""
    return foreign_qdq.is_ours(read_onnx(path))


def described_by(path: Path, model: Model) -> ForeignModel:
    """Return the file with its own description if it has one, else with the float model's."""
    if description_file(path).is_file():
        return read_foreign(path)
    return ForeignModel(
        name=path.stem,
        path=path,
        layout=model.layout,
        preprocessing=model.preprocessing,
        mean=model.mean,
        std=model.std,
        colors=model.colors,
        labels=model.labels,
        task=model.task,
    )
