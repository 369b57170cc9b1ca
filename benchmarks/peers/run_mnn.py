"""MNN, statically quantised by its own tool, which wants the calibration images as PNGs."""

import json
from pathlib import Path

import numpy as np
import serve


def build(folder: Path) -> None:
    """Convert network.onnx into network.mnn and quantise that into network.int8.mnn.

    The commands `mnnconvert` and `mnnquant` install packages wherever `pip` points to and report each use to
    MNN's makers, so what they call is called here.
    """
    import _tools

    source, converted = str(folder / "network.onnx"), str(folder / "network.mnn")
    _tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", source, "--MNNModel", converted])
    settings = folder / "mnn.json"
    settings.write_text(json.dumps(_settings(folder)))
    _tools.mnnquant(["mnnquant", converted, str(folder / "network.int8.mnn"), str(settings)])


def _settings(folder: Path) -> dict[str, object]:
    """What `mnnquant` reads; writes the images."""
    from PIL import Image

    inputs = np.load(folder / "calibration.npy")
    pictures = folder / "mnn_images"
    pictures.mkdir(exist_ok=True)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # of ImageNet
    pixels = np.rint((inputs.transpose(0, 2, 3, 1) * deviation + mean) * 255).astype(np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(pictures / f"{number}.png")
    return {
        "format": "RGB",
        "mean": list(mean * 255),
        "normal": list(1 / (deviation * 255)),
        "width": inputs.shape[3],
        "height": inputs.shape[2],
        "path": f"{pictures}/",
        "used_image_num": len(inputs),
        "feature_quantize_method": "KL",
        "weight_quantize_method": "MAX_ABS",
    }


def load(folder: Path, threads: int) -> serve.Infer:
    """Open a session."""
    import MNN

    interpreter = MNN.Interpreter(str(folder / "network.int8.mnn"))
    session = interpreter.createSession({"backend": "CPU", "numThread": threads, "precision": "low"})
    source, result = interpreter.getSessionInput(session), interpreter.getSessionOutput(session)
    shape, answer = source.getShape(), result.getShape()
    kind, layout = MNN.Halide_Type_Float, MNN.Tensor_DimensionType_Caffe
    answered = MNN.Tensor(answer, kind, np.zeros(answer, np.float32), layout)

    def infer(x: np.ndarray) -> np.ndarray:
        given = MNN.Tensor(shape, kind, x, layout)
        source.copyFrom(given)
        interpreter.runSession(session)
        result.copyToHostTensor(answered)
        return answered.getNumpyData().reshape(1, -1).copy()

    return infer


if __name__ == "__main__":
    serve.main(build, load, ("MNN",))
