"""The report says whether the quantised graph can saturate in engines that add products in 16 bits."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from calibration.weight_pairs import count_pairs
from pipeline.report.pages.report_page import render_html
from pipeline.report.portability import sixteen_bit_sums
from tests.pipeline.report.samples import printed, report
from tests.targets.tvm.qdq_model import QdqModel


def graph(folder: Path, smaller: int) -> Path:
    """A small network whose weights are random, and divided by a number."""
    m = QdqModel(8, 8, 3)
    x = m.quantized(m.node("GlobalAveragePool", m.quantized(m.conv(m.image(), 16, 3), 0.5, 0)), 0.5, 0)
    path = m.save(m.gemm(m.node("Flatten", x), 10, 16), folder / "model.int8.onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.int8 and values.ndim > 1:
            tensor.CopyFrom(numpy_helper.from_array((values // smaller).astype(np.int8), tensor.name))
    onnx.save(model, path)
    return path


def test_weights_that_can_saturate_are_counted_and_told(tmp_path: Path) -> None:
    path = graph(tmp_path, smaller=1)
    check = sixteen_bit_sums(path)
    layers = count_pairs(path)
    of_all = f"{sum(one.saturating for one in layers):,} of {sum(one.pairs for one in layers):,} pairs"
    assert check.outcome == "noted"
    assert check.message.startswith(f"exact here; {of_all} of weights can saturate in engines that add")
    assert "on CPUs without VNNI" in check.message
    shown = report().replace(checks=(check,))
    for page in (printed(shown, 400), render_html(shown)):
        assert f"exact here; {of_all}" in page


def test_weights_that_cannot_are_said_to_be_exact_there_too(tmp_path: Path) -> None:
    check = sixteen_bit_sums(graph(tmp_path, smaller=4))
    assert check.outcome == "passed"
    assert "the graph is exact there too" in check.message
