"""onnxruntime: its own static quantisation, uint8 activations and int8 weights, one scale a channel."""

from pathlib import Path

import numpy as np
import serve


def build(folder: Path) -> None:
    """Quantise network.onnx into network.u8s8.onnx."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class StoredImages(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(np.load(folder / "calibration.npy"))

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.images, None)
            return None if image is None else {"x": image[None]}

    prepared = folder / "network.prepared.onnx"
    quant_pre_process(str(folder / "network.onnx"), str(prepared))
    quantize_static(
        str(prepared),
        str(folder / "network.u8s8.onnx"),
        StoredImages(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def load(folder: Path, threads: int) -> serve.Infer:
    """Open a session."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    file = str(folder / "network.u8s8.onnx")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]


if __name__ == "__main__":
    serve.main(build, load, ("onnxruntime",))
