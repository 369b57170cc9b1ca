"""Quantise by a tool that does not share edgec's environment: run by another Python, one file in, one out.

    VENV/bin/python benchmarks/peers/calibrate_elsewhere.py nncf|modelopt MODEL.onnx IMAGES.npy OUTPUT.onnx

IMAGES.npy is uint8 [N, H, W, C]. Needs `pip install nncf onnx onnxruntime`, or `nvidia-modelopt[onnx]`.
"""

import sys

import numpy as np

BATCH = 32


def by_nncf(model: str, images: np.ndarray, output: str) -> None:  # type: ignore[type-arg]
    """NNCF's post-training quantisation with its defaults for a CPU."""
    import nncf
    import onnx

    batches = [{"image": images[i : i + BATCH]} for i in range(0, len(images), BATCH)]
    found = nncf.quantize(onnx.load(model), nncf.Dataset(batches), subset_size=len(batches))
    onnx.save(found, output)


def by_modelopt(model: str, images: np.ndarray, output: str) -> None:  # type: ignore[type-arg]
    """ModelOpt's int8 with its max calibrator, as for TensorRT."""
    from modelopt.onnx.quantization import quantize

    quantize(
        model,
        quantize_mode="int8",
        calibration_data={"image": images},
        calibration_method="max",
        calibration_eps=["cpu"],
        output_path=output,
    )


if __name__ == "__main__":
    tool, source, data, target = sys.argv[1:]
    {"nncf": by_nncf, "modelopt": by_modelopt}[tool](source, np.load(data), target)
