"""The folder of a build, opened to explain what its network says."""

from dataclasses import dataclass
from pathlib import Path

import onnx

from pipeline.difference.side import bounded_graph, takes_pixels
from pipeline.errors import UsageError
from pipeline.report.model.build_report import Report
from pipeline.report.model.subject import Subject
from targets.runtime.preprocess import Preprocessing

FILES = ("model.onnx", "model.int8.onnx", "report.json")


@dataclass(frozen=True)
class OpenedBuild:
    """A build's networks, and how it prepares pictures."""

    folder: Path
    subject: Subject
    float_model: onnx.ModelProto
    int8_model: onnx.ModelProto
    preprocessing: Preprocessing
    notes: tuple[str, ...]

    @property
    def float_path(self) -> Path:
        """Return where the float network is."""
        return self.folder / "model.onnx"


def open_build(folder: Path) -> OpenedBuild:
    """Open the folder of a build, and the bundle beside it for its preprocessing.

    Raises UsageError for anything else than a build of a network of pixels, and BundleError for a bundle that
    is damaged.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        found = "is not the folder of a build" if folder.exists() else "does not exist"
        raise UsageError(
            f"{folder} {found}: {', '.join(missing)} would be in it. Build first (`edgec build`), or give"
            " the folder of a build with --build."
        )
    models = [bounded_graph(folder / name) for name in FILES[:2]]
    for name, model in zip(FILES, models, strict=False):
        if not takes_pixels(model):
            raise UsageError(f"{folder / name} does not take pixels as edgec's networks do. Build it anew.")
    dims = models[0].graph.input[0].type.tensor_type.shape.dim
    preprocessing, notes = _preprocessing(folder, (dims[1].dim_value, dims[2].dim_value, dims[3].dim_value))
    subject = Report.load(folder / FILES[2]).subject
    return OpenedBuild(folder, subject, models[0], models[1], preprocessing, notes)


def _preprocessing(folder: Path, size: tuple[int, int, int]) -> tuple[Preprocessing, tuple[str, ...]]:
    bundle = folder.with_name(f"{folder.resolve().name}.edgec")
    if not bundle.is_file():
        note = f"{bundle} is not there, so pictures are fitted as by default and not as the build may say"
        return Preprocessing(*size), (note,)
    from pipeline.bundle.contents import verify

    return Preprocessing(**verify(bundle).manifest.preprocessing), ()
