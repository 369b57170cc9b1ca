"""What of the recipe could not be done on this network."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.report.model.toolchain_check import ToolchainCheck


def omissions(model: Path) -> Iterator[ToolchainCheck]:
    """Yield the corrections that were left out when a Q/DQ ONNX file was made, each with the reason."""
    import onnx

    from calibration.left_out import left_out

    for note in left_out(onnx.load(model)):
        yield ToolchainCheck(name="recipe", outcome="noted", message=f"left out: {note}")
