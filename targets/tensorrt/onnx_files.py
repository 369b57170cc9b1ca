"""The ONNX files that a Jetson builds its engines from, for weakly and strongly typed networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # onnx brings it

from calibration.errors import ModelError
from calibration.lint import LintFinding, lint
from calibration.qdq_writer import BROUGHT, FLOAT_LAYERS
from calibration.recipe import QuantRecipe, Scheme
from targets.errors import EngineError
from targets.runtime.tensorrt.candidate import FP8_ONNX, FP16_ONNX, HALF_ONNX, INT8_FP16_ONNX
from targets.tensorrt.fp8 import fp8_convolutions, to_fp8
from targets.tensorrt.half import all_to_half, float_layers_to_half, to_half


@dataclass(frozen=True)
class OnnxFiles:
    """Where the files are; `fp16` is None without a float model."""

    int8: Path
    int8_fp16: Path
    half: Path
    not_half: str
    """Why `half` is the same as `int8_fp16`; empty where its scales are FP16."""
    fp16: Path | None
    fp8: Path | None
    """None if it was not asked for, or cannot be: `not_fp8` says why."""
    not_fp8: str
    fp8_convolutions: tuple[str, ...]
    convolutions: tuple[str, ...]
    """The Conv nodes that are to run in INT8: all but those that mixed precision left in float."""


def write_onnx_files(
    int8_model: Path, float_model: Path | None, int8: Path, wants_fp8: bool = False
) -> OnnxFiles:
    """Write INT8 to the path `int8` and the others beside it, FP8 if it is wanted and possible.

    Raises EngineError for a model that TensorRT would not run in INT8; then nothing is written.
    """
    check_placement(int8_model)
    model = _load(int8_model)
    in_float = _left_in_float(model)
    int8_fp16 = float_layers_to_half(model)
    half, reason = _half(model, int8_fp16)
    floats = _load(float_model) if float_model else None
    fp8, not_fp8 = _fp8(model, floats) if wants_fp8 else (None, "")
    files = OnnxFiles(
        int8=int8,
        int8_fp16=int8.with_name(INT8_FP16_ONNX),
        half=int8.with_name(HALF_ONNX),
        not_half=reason,
        fp16=int8.with_name(FP16_ONNX) if float_model else None,
        fp8=int8.with_name(FP8_ONNX) if fp8 else None,
        not_fp8=not_fp8,
        fp8_convolutions=fp8_convolutions(fp8) if fp8 else (),
        convolutions=tuple(
            node.name for node in model.graph.node if node.op_type == "Conv" and node.name not in in_float
        ),
    )
    _save(model, files.int8)
    _save(int8_fp16, files.int8_fp16)
    _save(half, files.half)
    if floats and files.fp16:
        _save(to_half(floats), files.fp16)
    if wants_fp8:
        _save(fp8 or half, int8.with_name(FP8_ONNX))
    return files


def _half(model: onnx.ModelProto, otherwise: onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
    """Return the form with FP16 scales, or another and why there is none."""
    try:
        return all_to_half(model), ""
    except EngineError as error:
        return otherwise, str(error)


def _fp8(model: onnx.ModelProto, floats: onnx.ModelProto | None) -> tuple[onnx.ModelProto | None, str]:
    """Return the form with FP8, or why there is none."""
    try:
        return to_fp8(model, floats), ""
    except EngineError as error:
        return None, str(error)


def check_placement(int8_model: Path) -> None:
    """Raise EngineError with everything that breaks TensorRT's placement rules, one line or more for each.

    A graph that another tool quantised may break rules that only cost time.
    """
    model = _load(int8_model)
    try:
        findings = lint(int8_model, Scheme.SYM, _left_in_float(model))
    except ModelError as error:
        raise EngineError(str(error)) from error
    if any(p.key == BROUGHT for p in model.metadata_props):
        findings = [finding for finding in findings if not finding.costs_time]
    if findings:
        raise EngineError(f"TensorRT would not run this graph as INT8:\n{_listed(findings)}{_advice(model)}")


def _listed(findings: Sequence[LintFinding]) -> str:
    """One line for each broken rule, with its nodes: a wrong scale is found at its Q and its DQ."""
    nodes: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        nodes.setdefault((finding.what, finding.why), []).append(finding.node)
    lines = []
    for (what, why), names in nodes.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"  {names[0]}{more}: {what}. {why}")
    return "\n".join(lines)


def _left_in_float(model: onnx.ModelProto) -> list[str]:
    return [name for p in model.metadata_props if p.key == FLOAT_LAYERS for name in p.value.splitlines()]


def _advice(model: onnx.ModelProto) -> str:
    names = [p.value for p in model.metadata_props if p.key == "edgec.recipe"]
    if names and QuantRecipe.parse(names[0]).scheme is not Scheme.SYM:
        return f"\nIt was quantised by {names[0]}; TensorRT needs a recipe that begins with {Scheme.SYM}."
    return ""


def _load(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path)
    except (OSError, DecodeError) as error:
        raise EngineError(f"{path} cannot be read as an ONNX model: {error}") from error
    if not model.graph.node:
        raise EngineError(f"{path} cannot be read as an ONNX model: it has no nodes")
    return model


def _save(model: onnx.ModelProto, path: Path) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise EngineError(f"{path.name} would not be valid ONNX: {error}") from error
    path.write_bytes(model.SerializeToString(deterministic=True))
