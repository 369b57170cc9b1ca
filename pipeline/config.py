"""The settings of a build, in a TOML file or on the command line."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from calibration.errors import did_you_mean
from pipeline.data.embedded import NAMED
from pipeline.errors import UsageError
from pipeline.reading.toml_file import bounded_toml
from targets.validation_errors import few_errors

AnyConfig = TypeVar("AnyConfig", bound=BaseModel)
MOST_VALUES = 64
"""Of a list in the file; a matrix repeats its settings for each row."""
MOST_SHOWN = 20
"""Wrong values that a message names."""


class Section(BaseModel):
    """A table of the file. Unknown keys, inf and nan are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ExportConfig(Section):
    """[export]"""

    dynamic_batch: bool = True
    """Whether the model takes any number of images at once, or exactly one."""
    max_difference: float = Field(default=1e-3, gt=0)
    """Largest allowed difference of a logit between torch and the exported model."""
    mean: tuple[float, ...] | None = Field(default=None, max_length=MOST_VALUES)
    """Mean of the training's normalisation, of pixels divided by 255; the model's usual one if absent."""
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(default=None, max_length=MOST_VALUES)
    """Standard deviation of the training's normalisation, of pixels divided by 255."""
    colors: Literal["RGB", "BGR"] | None = None
    """Channel order of the checkpoint, and of mean and std; RGB if absent."""

    @property
    def normalises(self) -> bool:
        """Whether a setting about the normalisation is given."""
        return (self.mean, self.std, self.colors) != (None, None, None)


class CalibrationConfig(Section):
    """[calibration]"""

    images: int = Field(default=512, ge=1)
    """Images to calibrate with, drawn evenly from all classes."""
    seed: int = Field(default=0, ge=0, lt=2**64)
    """Random seed that decides which images are drawn."""
    recipe: str | None = None
    """Quantisation recipe, such as w8a8_asym; "auto" tries several. If absent, the network decides."""
    auto_seconds: float = Field(default=120.0, gt=0)
    """Seconds in which "auto" may try recipes."""
    max_drop: float | None = Field(default=None, gt=0)
    """Layers get 16-bit inputs (w8a8_asym) or stay in float until the drop of top-1 on the tuning images is
    shown to be at most this, in percentage points."""
    quantized: Path | None = None
    """A quantised ONNX file (Q/DQ) to compile as it is, such as one from `edgec train --qat`."""
    tuning_images: int = Field(default=2048, ge=1)
    """Largest number of images to judge `max_drop` on: of the calibration split, but not calibrated with."""


class ValidationConfig(Section):
    """[validation]"""

    images: int | None = Field(default=None, ge=1)
    """Number of evaluation images; all if absent."""
    max_drop: float = Field(default=1.0, gt=0)
    """Largest acceptable drop of top-1 accuracy from FP32 to INT8, in percentage points."""
    sensitivity: int = Field(default=0, ge=0)
    """Number of evaluation images on which the error is attributed to layers; 0: not done."""
    min_ratio: float | None = Field(default=None, gt=0, le=1)
    """Smallest acceptable ratio of INT8's top-1 to FP32's, such as MLPerf's 0.99; no gate if absent."""
    min_top1: float | None = Field(default=None, gt=1, lt=100)
    """Smallest acceptable top-1 of INT8 in percent, such as 75.5, whatever FP32's is; no gate if absent."""
    sustained_p90_ms: float | None = Field(default=None, gt=0)
    """Largest acceptable p90 in the last fifth of a soak on the device; `soak` names its record."""
    robustness: int = Field(default=0, ge=0)
    """Number of evaluation images for camera corruptions of FP32 and INT8, such as 500; 0: not done."""


class LatencyConfig(Section):
    """[latency]"""

    threads: int = Field(default=1, ge=1, le=1024)
    """Number of threads of an engine."""
    batch: int = Field(default=1, ge=1, le=4096)
    """Number of images in one inference."""
    precision: float = Field(default=0.01, gt=0, lt=1)
    """Measuring stops when half of the median's interval is at most this share of it, or after `seconds`."""
    seconds: float = Field(default=10.0, gt=0)
    """Longest time to measure an engine, in seconds."""
    judge: Literal["end_to_end", "model"] | None = None
    """Which latency is limited: from a picture's file to its top-5 classes, or the model's. If absent: end
    to end on the build machine; on a board, where pictures are not timed, the model. The gate says which."""
    p50_ms: float | None = Field(default=None, gt=0)
    """Largest acceptable median in milliseconds; no gate if absent."""
    p90_ms: float | None = Field(default=None, gt=0)
    """Largest acceptable 90th percentile in milliseconds; no gate if absent."""
    p99_ms: float | None = Field(default=None, gt=0)
    """Largest acceptable 99th percentile in milliseconds; no gate if absent."""
    min_speedup: float = Field(default=1.0, ge=0)
    """Smallest acceptable ratio of FP32's time to INT8's, measured in alternation; 0 sets no gate.

    A limit up to 1 fails only if the ratio is shown to be smaller. A limit above 1 passes only if the ratio
    is shown.
    """
    peer: bool = True
    """Whether onnxruntime's own static INT8 is made and timed too. Only if the target is this machine."""


def _in_utf8(folder: Path) -> Path:
    """Refuse a folder whose whole path torch and onnx cannot be told. Raises ValueError."""
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError:
        raise ValueError("torch and onnx need a path in utf-8; choose another folder") from None
    except (
        FileNotFoundError
    ):  # the folder that the program started in is gone, which is told where it matters
        pass
    return folder


class BuildConfig(Section):
    """All settings of a build. Paths in a file are relative to that file."""

    model: str = "resnet20-fashion"
    """A name of `edgec models`, or an .onnx file."""
    target: str = "host"
    """A name of `edgec targets`."""
    data: Path | None = None
    """Folder or file with images; the model's own data set if absent."""
    labels: str | None = None
    """Column of labels.csv that has the classes, if there are several."""
    class_order: Literal["numbers", "text", "list", "imagenet"] | None = None
    """Order of classes, if asked: numbers (2, 10), text (10, 2), list (classes.txt), imagenet (its 1,000)."""
    checkpoint: Path | None = None
    """Weights to load; the model's own if absent."""
    weights: str | None = None
    """Which of a checkpoint's weights: ema, raw, or a place in it. If absent, an average is preferred."""
    device: str | None = None
    """Address of the target: ssh://user@host:port, or a name of `edgec devices`. Commas separate several."""
    out: Annotated[Path, AfterValidator(_in_utf8), Field(validate_default=True)] = Path("out")
    """Folder of everything that a build writes."""
    signing_key: Path | None = None
    """Private key (PEM, Ed25519) that bundles are signed with; unsigned if absent."""
    soak: Path | None = None
    """The soak.json that `./run soak` wrote on the device, for the report and validation.sustained_p90_ms."""
    power_modes: Path | None = None
    """The power_modes.json that `./run power-modes` wrote on a Jetson, for the report."""
    package: tuple[str, ...] = Field(default=(), max_length=MOST_VALUES)
    """Other forms of the bundle to write beside the report, such as "triton"; see `edgec package`."""
    export: ExportConfig = ExportConfig()
    """The float network as ONNX."""
    calibration: CalibrationConfig = CalibrationConfig()
    """Ranges and quantisation."""
    validation: ValidationConfig = ValidationConfig()
    """Limits on accuracy, and further analyses."""
    latency: LatencyConfig = LatencyConfig()
    """Measurement of latency, and limits on it."""


def understood_anywhere(config: BuildConfig) -> BuildConfig:
    """Return the settings with paths that mean the same wherever a worker was started."""
    paths: dict[str, object] = {
        name: path.absolute()
        for name, path in config
        if isinstance(path, Path) and (path.exists() or str(path) not in NAMED)
    }
    if config.model.endswith(".onnx"):
        paths["model"] = str(Path(config.model).absolute())
    if (quantized := config.calibration.quantized) is not None:
        named = {"quantized": quantized.absolute()}
        paths["calibration"] = config.calibration.model_copy(update=named)
    return config.model_copy(update=paths)


RECORDED = {
    *("model", "target", "labels", "class_order", "weights", "export"),
    *("calibration", "validation", "latency"),
}


def recorded(config: BuildConfig, recipe: str) -> str:
    """Return the settings of a build as JSON, with the recipe that was used.

    Files are recorded by name only, so that no local path is disclosed.
    """
    file = config.calibration.quantized
    named = {"recipe": recipe, "quantized": file and Path(file.name)}
    calibration = config.calibration.model_copy(update=named)
    used = config.model_copy(update={"calibration": calibration, "model": Path(config.model).name})
    return used.model_dump_json(include=RECORDED, indent=1) + "\n"


def load_config(kind: type[AnyConfig], file: Path | None, options: Mapping[str, object]) -> AnyConfig:
    """Read a TOML file, if any, and let `options` that are not None take precedence.

    The key of an option may be dotted: "calibration.recipe" is recipe in the table [calibration]. A leading ~
    in a path is the home folder. Raises UsageError for a file that is missing or not valid TOML, an unknown
    key, or a value that is not allowed.
    """
    values = relative_to(read_toml(file), file.parent, kind) if file else {}
    for key, value in options.items():
        if value is not None:
            *tables, last = key.split(".")
            place = values
            for table in tables:
                place = place.setdefault(table, {})
                if not isinstance(place, dict):
                    raise UsageError(f"{file}: {table} is {place!r}: expected a table [{table}].")
            place[last] = _expanded(value) if isinstance(value, Path) else value
    return validated(values, kind, str(file) if file else "the options")


def validated(values: Mapping[str, Any], kind: type[AnyConfig], source: str) -> AnyConfig:
    """Return the settings. Raises UsageError that names `source` and every value that is not allowed."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        shown = [_explain(one, source, kind) for one in few_errors(error)]
        most = shown[:MOST_SHOWN] or [f"{source}: {error.error_count():,} of its values are not allowed."]
        rest = len(shown) - MOST_SHOWN
        raise UsageError("\n".join([*most, *([f"... and {rest} more."] if rest > 0 else [])])) from error


def read_toml(file: Path) -> dict[str, Any]:
    """Return a file's values. Raises UsageError if it cannot be read, or is not valid TOML."""
    try:
        return bounded_toml(file)
    except OSError as error:
        raise UsageError(f"The configuration {file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # not TOML, not text, a number of thousands of digits
        raise UsageError(f"The configuration {file} is not valid TOML: {error}.") from error


def relative_to(values: Mapping[str, Any], folder: Path, kind: type[BaseModel]) -> dict[str, Any]:
    """Return the values of a file in `folder`, in which paths at the top are relative to it."""
    found = dict(values)
    for key, field in kind.model_fields.items():
        if field.annotation in (Path, Path | None) and isinstance(found.get(key), str):
            path = folder / _expanded(found[key])
            named = found[key] in NAMED and not path.exists()
            found[key] = Path(found[key]) if named else path
    model = found.get("model")
    if isinstance(model, str) and model.endswith(".onnx"):
        found["model"] = str(folder / _expanded(model))
    return found


def _expanded(path: str | Path) -> Path:
    """Replace a leading ~, which not every shell does after DATA=; pathlib raises for an unknown user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def _explain(error: ErrorDetails, source: str, kind: type[BaseModel]) -> str:
    if not error["loc"]:
        return f"{source}: {error['msg'].removeprefix('Value error, ')}."
    *tables, key = (str(part) for part in error["loc"])
    where = f"{source}: {'.'.join([*tables, key])}"
    if error["type"] == "model_type":
        return f"{where} is {error['input']!r}: expected a table [{key}]."
    if error["type"] != "extra_forbidden":
        return f"{where} is {error['input']!r}: {error['msg'].removeprefix('Value error, ').lower()}."
    allowed = _keys(kind, tables)
    return f"{where} is unknown.{did_you_mean(key, allowed)} Allowed here: {', '.join(allowed)}."


def _keys(section: type[BaseModel], tables: list[str]) -> list[str]:
    """Return the keys that a table may have; numbers among `tables` are places in a list of tables."""
    for table in tables:
        if not table.isdigit():
            annotation = section.model_fields[table].annotation
            kinds = (one for one in (annotation, *get_args(annotation)) if isinstance(one, type))
            section = next(one for one in kinds if issubclass(one, BaseModel))
    return list(section.model_fields)
