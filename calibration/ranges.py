"""ranges.json: the ranges found in calibration, and what they were found from."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from calibration.errors import RangesError
from calibration.observers import Range

FORMAT = "edgec-ranges"
VERSION = 1


def model_digest(model: Path) -> str:
    """sha256 of the model file, hexadecimal."""
    return hashlib.sha256(model.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Ranges:
    """A range for every observed tensor of one model.

    `model` is the sha256 of the float ONNX file, `recipe` the name of the recipe they were collected for,
    `images` how many images were seen, `left_out` what of the recipe could not be done, `wide` the
    tensors that get 16 bits: integers under w8a8_asym, FP16 under w8a8_sym.
    """

    model: str
    recipe: str
    images: int
    tensors: dict[str, Range]
    left_out: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        """Write ranges.json: indented, in graph order, the same bytes for the same ranges."""
        record = {"format": FORMAT, "version": VERSION, **asdict(self)}
        for name in ("left_out", "wide"):
            if not record[name]:
                del record[name]
        path.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read ranges.json. Raises RangesError if it is missing, damaged or of another version."""
        try:
            found = _File.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RangesError(f"{path} cannot be read: {error}") from error
        except (ValidationError, UnicodeDecodeError) as error:
            raise RangesError(
                f"{path} is not a ranges file: {_first(error)} Calibrate again to re-create it."
            ) from error
        if (found.format, found.version) != (FORMAT, VERSION):
            raise RangesError(
                f"{path} is {found.format} version {found.version}; this edgec reads {FORMAT} version "
                f"{VERSION}. Calibrate again."
            )
        tensors = {name: Range(r.low, r.high) for name, r in found.tensors.items()}
        for name, r in tensors.items():
            if r.low > r.high:
                raise RangesError(
                    f"{path}: the range of {name!r} is [{r.low}, {r.high}]. Calibrate again to re-create it."
                )
        return cls(found.model, found.recipe, found.images, tensors, found.left_out, found.wide)


class _Range(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    low: float
    high: float


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format: str
    version: int
    model: str
    recipe: str
    images: int = Field(ge=1)
    left_out: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()
    tensors: dict[str, _Range]


def _first(error: ValidationError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not text."
    detail = error.errors()[0]
    where = ".".join(str(part) for part in detail["loc"])
    return f"{where}: {detail['msg']}." if where else f"{detail['msg']}."
