"""Whether the quantised graph can saturate in engines that add products in 16 bits."""

from pathlib import Path

from pipeline.report.model.toolchain_check import ToolchainCheck


def sixteen_bit_sums(model: Path) -> ToolchainCheck:
    """Count the pairs of weights of a Q/DQ ONNX file that can saturate there. Raises ModelError."""
    from calibration.weight_pairs import count_pairs

    layers = count_pairs(model)
    pairs = sum(one.pairs for one in layers)
    saturating = sum(one.saturating for one in layers)
    engines = "engines that add products in 16 bits on CPUs without VNNI (onnxruntime by default, OpenVINO)"
    if not saturating:
        told = f"no pair of weights can saturate in {engines}: the graph is exact there too"
        return ToolchainCheck(name="16-bit sums", outcome="passed", message=told)
    told = f"exact here; {saturating:,} of {pairs:,} pairs of weights can saturate in {engines}"
    told += "; `nosat` in the recipe prevents that"
    return ToolchainCheck(name="16-bit sums", outcome="noted", message=told)
