"""The device's builder, for real: under TensorRT-RTX, which is told what GPU to compile for."""

from pathlib import Path
from typing import Any

import pytest

from targets.runtime.tensorrt.build import BuildOptions, build_engine
from targets.runtime.tensorrt.candidate import candidates, mixed_candidate
from targets.runtime.tensorrt.engine import EngineProblem
from targets.runtime.tensorrt.mixed_onnx import QdqFile
from targets.tensorrt.onnx_files import write_onnx_files
from tests.targets.tensorrt.conftest import needs_rtx


class WithCapability:
    """TensorRT-RTX or its builder, whose configurations name a GPU."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    def Builder(self, logger: Any) -> "WithCapability":  # noqa: N802 - their name
        return WithCapability(self.wrapped.Builder(logger))

    def create_builder_config(self) -> Any:
        import tensorrt_rtx as trt

        config = self.wrapped.create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.SM86, 0)
        return config


@needs_rtx
def test_it_builds_all_that_ships(int8_model: Path, float_model: Path, tmp_path: Path) -> None:
    import tensorrt_rtx

    trt = WithCapability(tensorrt_rtx)
    files = write_onnx_files(int8_model, float_model, tmp_path / "int8_qdq.onnx")
    said: list[str] = []
    assert files.not_half == ""
    for candidate in candidates("11.4"):
        path = tmp_path / candidate.onnx
        plan = build_engine(trt, path, candidate, BuildOptions(256), tmp_path / "timing.cache", said.append)
        assert len(plan) > 10_000
    network = QdqFile(files.half.read_bytes())
    (tmp_path / "mixed.onnx").write_bytes(network.in_float(network.quantised_convolutions()[:1]))
    mixed = mixed_candidate("11.4")
    plan = build_engine(
        trt, tmp_path / mixed.onnx, mixed, BuildOptions(256), tmp_path / "timing.cache", said.append
    )
    assert len(plan) > 10_000
    assert said[0] == "building int8_qdq_fp16.onnx"


@needs_rtx
def test_a_file_that_is_no_graph_is_an_error_in_its_words(tmp_path: Path) -> None:
    import tensorrt_rtx

    (tmp_path / "fp16.onnx").write_bytes(b"no graph")
    with pytest.raises(EngineProblem, match=r"cannot read fp16\.onnx: "):
        build_engine(
            WithCapability(tensorrt_rtx),
            tmp_path / "fp16.onnx",
            candidates("11.4")[-1],
            BuildOptions(),
            tmp_path / "timing.cache",
            lambda _: None,
        )
