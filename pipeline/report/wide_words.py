"""Which layers or activations have 16 bits because the recipe's `wide` chose them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.report import figures
from pipeline.report.model.toolchain_check import ToolchainCheck

NAMED = 5
"""So many are named; the coverage in report.json names all layers in float."""


def sixteen_bits(model: Path) -> Iterator[ToolchainCheck]:
    """Yield a note of what `wide` gave 16 bits in a Q/DQ ONNX file; nothing for a recipe without it."""
    import onnx

    from calibration.foreign_qdq import RECIPE
    from calibration.qdq_reader import wide_tensors_of
    from calibration.qdq_writer import WIDE

    found = onnx.load(model)
    noted = {p.key: p.value for p in found.metadata_props}
    if "wide" not in noted.get(RECIPE, "").split("_"):
        return
    layers, tensors = noted.get(WIDE, "").splitlines(), wide_tensors_of(found)
    if layers:
        counted = figures.plural(len(layers), "layer")
        yield _note(f"{counted} in FP16 under TensorRT, since rounding what they read to 8", layers)
    elif tensors:
        counted = figures.plural(len(tensors), "activation")
        yield _note(f"{counted} in integers of 16 bits, since rounding them to 8", tensors)


def _note(told: str, names: Sequence[str]) -> ToolchainCheck:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    message = f"wide: {told} would change the logits most: {', '.join(names[:NAMED])}{more}"
    return ToolchainCheck(name="recipe", outcome="noted", message=message)
