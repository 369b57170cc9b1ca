"""OpenVINO, on the Q/DQ graph that onnxruntime's quantiser wrote."""

from pathlib import Path

import serve


def build(folder: Path) -> None:
    """Nothing: OpenVINO reads ONNX. Raises FileNotFoundError if onnxruntime has not been built first."""
    (folder / "network.u8s8.onnx").stat()


def load(folder: Path, threads: int) -> serve.Infer:
    """Compile for the CPU, for latency."""
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
    compiled = core.compile_model(core.read_model(folder / "network.u8s8.onnx"), "CPU", settings)
    request = compiled.create_infer_request()

    def infer(x: serve.np.ndarray) -> serve.np.ndarray:
        request.infer([x], share_inputs=True, share_outputs=True)
        return request.get_output_tensor().data

    return infer


if __name__ == "__main__":
    serve.main(build, load, ("openvino",))
