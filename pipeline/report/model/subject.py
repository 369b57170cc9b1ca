"""What report.json says of what was built, of what, and on which machines."""

from pydantic import NonNegativeInt, PositiveInt

from pipeline.report.record import Record, Sha256
from targets.base import Origin


class SkippedImage(Record):
    """An evaluation or calibration image that could not be read."""

    name: str
    reason: str


class Subject(Record):
    """What was built, and from what."""

    model: str
    target: str
    recipe: str
    dataset: str
    classes: tuple[str, ...]
    checkpoint_digest: Sha256
    model_digest: Sha256  # the float ONNX
    int8_model_digest: Sha256  # the Q/DQ ONNX
    engine_digest: Sha256
    evaluation_digest: Sha256  # Split.digest of the evaluation images
    calibration_digest: Sha256
    evaluation_images: PositiveInt
    calibration_images: NonNegativeInt
    skipped_images: tuple[SkippedImage, ...] = ()


class Machine(Record):
    """Where one of the two networks ran."""

    origin: Origin
    description: str  # the processor, module or emulator
    fingerprint: str  # the same with the tools and their versions: all that can change a figure
