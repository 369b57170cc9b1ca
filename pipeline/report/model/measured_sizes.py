"""What report.json says of files' sizes and of memory."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from pipeline.report.model.certainty import NotMeasured
from pipeline.report.record import Record
from targets.base import Origin


class Memory(Record):
    """Peak resident memory of a process that opened the engine and ran it."""

    kind: Literal["measured"] = "measured"
    origin: Origin
    peak_bytes: PositiveInt
    before_open_bytes: PositiveInt  # interpreter, NumPy and runner, before the engine was opened
    method: str  # how the peak was read


MeasuredMemory = Annotated[Memory | NotMeasured, Field(discriminator="kind")]


class Sizes(Record):
    """Sizes of the files, in bytes."""

    checkpoint: PositiveInt
    model: PositiveInt  # the float ONNX
    int8_model: PositiveInt  # the Q/DQ ONNX
    engine: PositiveInt | None  # None: it is built on the device, and stays there
