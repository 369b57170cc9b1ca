"""onnxruntime's own static quantisation, as its documentation has it."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.rewrite import adopt
from targets.errors import EngineError
from targets.peers.behind_pixels import write_behind_pixels
from targets.peers.prepared_input import PreparedNetwork, default_session
from targets.peers.static_int8 import quantize_static
from targets.runtime.exact.session import open_session
from tests.pipeline.models.foreign.mobile_networks import MobileNetLike
from tests.pipeline.models.foreign.networks import export, make, pixels


def test_the_network_becomes_a_graph_of_integers_close_to_it(tmp_path: Path) -> None:
    source = described(export(make(MobileNetLike), tmp_path / "net.onnx"), Description())
    onnx.save(adopt(source, True, lambda _: None), tmp_path / "model.onnx")
    network = write_behind_pixels(tmp_path / "model.onnx", tmp_path / "cut.onnx")
    quantize_static(network, [pixels()], tmp_path / "int8.onnx")
    graph = onnx.load(tmp_path / "int8.onnx").graph
    kinds = {i.data_type for i in graph.initializer if i.name.endswith("zero_point")}
    assert {onnx.TensorProto.UINT8, onnx.TensorProto.INT8} <= kinds
    fed = {"image": network.prepared(pixels(), floats=True)}
    fp32 = default_session(network.file, 1).run(None, fed)[0]
    int8 = open_session(tmp_path / "int8.onnx").run(None, fed)[0]
    noise = np.linalg.norm(int8 - fp32) / np.linalg.norm(fp32 - fp32.mean())
    assert 0 < noise < 0.5


def test_what_onnxruntime_refuses_is_one_error_with_its_words(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"no network")
    network = PreparedNetwork(tmp_path / "net.onnx", "NCHW", (1.0,) * 3, (0.0,) * 3)
    with pytest.raises(EngineError, match="quantize_static refuses the network"):
        quantize_static(network, [pixels()], tmp_path / "int8.onnx")
    with pytest.raises(EngineError, match="onnxruntime refuses"):
        default_session(network.file, 1)
