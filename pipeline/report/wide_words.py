"""Which residual connections have 16 bits by the recipe's `res`, and what its `wide` chose."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.report import figures
from pipeline.report.model.toolchain_check import ToolchainCheck

NAMED = 5
"""So many are named; the coverage in report.json names all layers in float."""


def sixteen_bits(model: Path) -> Iterator[ToolchainCheck]:
    """Yield notes of what `res` and `wide` gave 16 bits in a Q/DQ ONNX file; nothing without these words."""
    import onnx

    from calibration.foreign_qdq import RECIPE
    from calibration.qdq_reader import residual_tensors_of, wide_tensors_of
    from calibration.qdq_writer import OUTLOOK, WIDE

    found = onnx.load(model)
    noted = {p.key: p.value for p in found.metadata_props}
    words = noted.get(RECIPE, "").split("_")
    additions = {node.name for node in found.graph.node if node.op_type == "Add"} if "res" in words else set()
    residual = residual_tensors_of(found) if "res" in words else []
    in_float = noted.get(WIDE, "").splitlines()
    layers = [name for name in in_float if name not in additions]
    if read := len(residual) or len(in_float) - len(layers):
        kind = "in FP16 under TensorRT" if in_float else "in integers of 16 bits"
        yield _noted(f"res: {figures.plural(read, 'residual connection')} {kind}")
    if "wide" not in words:
        return
    tensors = [name for name in wide_tensors_of(found) if name not in residual]
    if layers:
        counted = figures.plural(len(layers), "layer")
        yield _chosen(f"{counted} in FP16 under TensorRT, since rounding what they read to 8", layers)
    elif tensors:
        counted = figures.plural(len(tensors), "activation")
        yield _chosen(f"{counted} in integers of 16 bits, since rounding them to 8", tensors)
    if OUTLOOK in noted:
        yield _noted(f"wide: {noted[OUTLOOK]}")


def _chosen(told: str, names: Sequence[str]) -> ToolchainCheck:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return _noted(f"wide: {told} would change the logits most: {', '.join(names[:NAMED])}{more}")


def _noted(message: str) -> ToolchainCheck:
    return ToolchainCheck(name="recipe", outcome="noted", message=message)
