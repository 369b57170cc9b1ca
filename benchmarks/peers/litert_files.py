"""Quantise by ai-edge-quantizer for LiteRT, and run what it made. For a Python that has them.

Needs `pip install litert-torch ai-edge-quantizer onnx2torch`. onnx2torch makes a torch network of the ONNX
file, litert-torch a .tflite file of it, and ai-edge-quantizer an int8 one. torch cannot export what
onnx2torch makes of Slice, Pad and Resize: ResNets for CIFAR with padded shortcuts and U-Nets do not arrive.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np


def quantize(model: str, images: np.ndarray, output: str) -> None:
    """Quantise weights and activations to int8 by the tool's own recipe. images: uint8 [N, H, W, C]."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    with TemporaryDirectory() as folder:
        source = str(Path(folder) / "float.tflite")
        _convert(model, images[:1], source)
        [(signature, names)] = Interpreter(source).get_signature_list().items()
        found = quantizer.Quantizer(source)
        found.load_quantization_recipe(recipe.static_wi8_ai8())
        ranges = found.calibrate({signature: [{names["inputs"][0]: image[None]} for image in images]})
        found.quantize(ranges).export_model(output, overwrite=True)


def answers(model: str, images: np.ndarray) -> np.ndarray:
    """What LiteRT's interpreter answers, float32 [N, ...]: integers by their scale and zero point."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model, num_threads=1)
    interpreter.allocate_tensors()
    [source], [result] = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero = result["quantization"]
    found = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(result["index"]))
    every = np.concatenate(found).astype(np.float32)
    return (every - zero) * np.float32(scale) if scale else every


def _convert(model: str, image: np.ndarray, output: str) -> None:
    """Write the float network of an ONNX file as .tflite, for one image at a time."""
    import litert_torch
    import onnx
    import torch
    from onnx2torch import convert

    litert_torch.convert(convert(onnx.load(model)).eval(), (torch.from_numpy(image),)).export(output)
