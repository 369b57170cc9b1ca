"""Quantise by a tool that does not share edgec's environment: run by another Python, one file in, one out.

    VENV/bin/python benchmarks/peers/calibrate_elsewhere.py METHOD MODEL.onnx IMAGES.npy OUTPUT.onnx
    VENV/bin/python benchmarks/peers/calibrate_elsewhere.py version nncf|modelopt|aimet|ppq|litert
    VENV/bin/python benchmarks/peers/calibrate_elsewhere.py answers MODEL.tflite IMAGES.npy ANSWERS.npy

METHOD is one of

    nncf                                 its defaults
    nncf-full                            with full bias correction
    nncf-mixed                           with asymmetric activations
    modelopt-max, modelopt-entropy       ModelOpt's calibrators
    aimet-min_max, aimet-tf_enhanced     AIMET's schemes: the extremes, its default, or the least noise
    aimet-equalized                      the extremes, channels equalised across layers before (CLE)
    ppq, ppq-mse, ppq-lsq                PPQ for TensorRT: its defaults, ranges of least error, learned steps
    litert                               ai-edge-quantizer; OUTPUT is a .tflite file: see `litert_files.py`

IMAGES.npy is uint8 [N, H, W, C]. Needs `pip install nncf onnx onnxruntime`, `nvidia-modelopt[onnx]`,
`aimet-onnx`, or `esp-ppq` (PPQ as Espressif keeps it).
"""

import sys
from importlib.metadata import version

import numpy as np

BATCH = 32
PACKAGES = {
    "nncf": "nncf",
    "modelopt": "nvidia-modelopt",
    "aimet": "aimet-onnx",
    "ppq": "esp-ppq",
    "litert": "ai-edge-quantizer",
}


def by_nncf(setting: str, model: str, images: np.ndarray, output: str) -> None:  # type: ignore[type-arg]
    """NNCF with its defaults, with full bias correction, or with asymmetric activations."""
    import nncf
    import onnx

    fast = setting != "full"
    size = BATCH if fast else 1  # its full correction wants single images
    batches = [{"image": images[i : i + size]} for i in range(0, len(images), size)]
    found = nncf.quantize(
        onnx.load(model),
        nncf.Dataset(batches),
        subset_size=len(batches),
        fast_bias_correction=fast,
        preset=nncf.QuantizationPreset.MIXED if setting == "mixed" else None,
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


def by_aimet(setting: str, model: str, images: np.ndarray, output: str) -> None:  # type: ignore[type-arg]
    """AIMET's int8 with a scale for each channel of the weights, written as Q/DQ."""
    import onnx
    from aimet_onnx import QuantizationSimModel
    from aimet_onnx.common.quantsim_config.utils import get_path_for_per_channel_config
    from aimet_onnx.cross_layer_equalization import equalize_model

    network = onnx.load(model)
    if setting == "equalized":
        equalize_model(network)
    scheme = "min_max" if setting == "equalized" else setting
    found = QuantizationSimModel(network, quant_scheme=scheme, config_file=get_path_for_per_channel_config())
    found.compute_encodings([{"image": images[i : i + BATCH]} for i in range(0, len(images), BATCH)])
    onnx.save(found.to_onnx_qdq(prequantize_constants=True), output)


def by_ppq(setting: str, model: str, images: np.ndarray, output: str) -> None:  # type: ignore[type-arg]
    """PPQ's int8 as for TensorRT: activations are symmetric, weights have a scale for each channel."""
    import onnx
    import torch
    from esp_ppq import QuantizationSettingFactory
    from esp_ppq.api import export_ppq_graph, quantize_onnx_model
    from esp_ppq.core import TargetPlatform

    chosen = QuantizationSettingFactory.default_setting()
    if setting == "mse":
        chosen.quantize_activation_setting.calib_algorithm = "mse"
    if setting == "lsq":
        chosen.lsq_optimization = True
        chosen.lsq_optimization_setting.collecting_device = "cpu"
    batches = [torch.from_numpy(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
    found = quantize_onnx_model(
        model,
        batches,
        len(batches),
        list(batches[0].shape),
        TargetPlatform.TRT_INT8,
        input_dtype=torch.uint8,
        setting=chosen,
        device="cpu",
    )
    export_ppq_graph(found, TargetPlatform.ONNXRUNTIME, output)
    written, source = onnx.load(output), onnx.load(model, load_external_data=False)
    # It writes opset 13, and leaves the operators with attributes of the model's own; it makes Swish of SiLU,
    # which opset 24 has.
    fused = any(node.op_type == "Swish" for node in written.graph.node)
    written.opset_import[0].version = 24 if fused else source.opset_import[0].version
    written.ir_version = 10 if fused else source.ir_version
    onnx.save(written, output)


def by_litert(_: str, model: str, images: np.ndarray, output: str) -> None:  # type: ignore[type-arg]
    """ai-edge-quantizer's int8, as a .tflite file."""
    from litert_files import quantize

    quantize(model, images, output)


TOOLS = {"nncf": by_nncf, "modelopt": by_modelopt, "aimet": by_aimet, "ppq": by_ppq, "litert": by_litert}


def main() -> None:
    """Do what the command line says."""
    words, *files = sys.argv[1:]
    if words == "version":
        print(files[0], version(PACKAGES[files[0]]))
        return
    source, data, target = files
    if words == "answers":
        from litert_files import answers

        np.save(target, answers(source, np.load(data)))
        return
    tool, _, setting = words.partition("-")
    TOOLS[tool](setting, source, np.load(data), target)


if __name__ == "__main__":
    main()
