"""Quantise by a tool that does not share edgec's environment: run by another Python, one file in, one out.

    VENV/bin/python benchmarks/peers/calibrate_elsewhere.py METHOD MODEL.onnx IMAGES.npy OUTPUT.onnx
    VENV/bin/python benchmarks/peers/calibrate_elsewhere.py version nncf|modelopt

METHOD is nncf, nncf-full (with full bias correction), modelopt-max or modelopt-entropy. IMAGES.npy is uint8
[N, H, W, C]. Needs `pip install nncf onnx onnxruntime`, or `nvidia-modelopt[onnx]`.
"""

import sys
from importlib.metadata import version

import numpy as np

BATCH = 32
PACKAGES = {"nncf": "nncf", "modelopt": "nvidia-modelopt"}


def by_nncf(setting: str, model: str, images: np.ndarray, output: str) -> None:  # type: ignore[type-arg]
    """NNCF's post-training quantisation with its defaults for a CPU, or with full bias correction."""
    import nncf
    import onnx

    fast = setting != "full"
    size = BATCH if fast else 1  # its full correction wants single images
    batches = [{"image": images[i : i + size]} for i in range(0, len(images), size)]
    found = nncf.quantize(
        onnx.load(model), nncf.Dataset(batches), subset_size=len(batches), fast_bias_correction=fast
    )
    onnx.save(found, output)


def by_modelopt(setting: str, model: str, images: np.ndarray, output: str) -> None:  # type: ignore[type-arg]
    """ModelOpt's int8, as for TensorRT, with its max or entropy calibrator."""
    from modelopt.onnx.quantization import quantize

    quantize(
        model,
        quantize_mode="int8",
        calibration_data={"image": images},
        calibration_method=setting,
        calibration_eps=["cpu"],
        output_path=output,
    )


def main() -> None:
    """Do what the command line says."""
    words, *files = sys.argv[1:]
    if words == "version":
        print(files[0], version(PACKAGES[files[0]]))
        return
    tool, _, setting = words.partition("-")
    source, data, target = files
    {"nncf": by_nncf, "modelopt": by_modelopt}[tool](setting, source, np.load(data), target)


if __name__ == "__main__":
    main()
