"""Writes a stranger's files of one network, compares them as docs/diff.md does, and photographs the pages.

    python -m benchmarks.stranger FOLDER --photos PHOTOS

PHOTOS is any folder of photos; the first eight are taken. FOLDER gets `model.onnx`, the network in edgec's
form (ResNet-18 half as wide, trained on groceries); `trained_on_bgr.onnx`, the same for a program that reads
BGR; `quantised.onnx` and `again.onnx`, quantised by onnxruntime's own tool, calibrated on pixels from 0 to
255 by mistake and on normalised ones. Each command is printed with what it prints, and each page becomes a
.webp, if Chromium is installed.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.models.checkpoint import load_model
from pipeline.models.resnet import FromPixels
from pipeline.models.zoo import find_model, find_weights
from pipeline.stages.export import write_onnx

NETWORK, PICTURES = "resnet18-narrow2-grocery", 8
WIDTH, HEIGHT = 820, 1420
"""Of a photographed page, in pixels."""
COMMANDS = (
    ("trained_on_bgr.onnx", ""),
    ("quantised.onnx", "quantised.html"),
    ("again.onnx", ""),
)


def main() -> None:
    """Write the files, run the commands, and photograph the pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    (folder / "pics").mkdir(parents=True, exist_ok=True)
    photos = sorted(arguments.photos.rglob("*.jpg"))[:PICTURES]
    if not photos:
        parser.error(f"{arguments.photos} is not a folder with .jpg files; of an archive, unpack some")
    for photo in photos:
        shutil.copyfile(photo, folder / "pics" / photo.name)
    write_files(folder)
    for name, page in COMMANDS:
        words = ["diff", "model.onnx", name, "--image", "pics", *(["--html", page] if page else [])]
        print(f"\n$ edgec {' '.join(words)}", flush=True)
        subprocess.run([sys.executable, "-m", "pipeline", *words], cwd=folder, check=False)
        if page:
            photograph(folder / page)
    told_wrong(folder)


def told_wrong(folder: Path) -> None:
    """Compare the BGR network as a program that gives it RGB runs it."""
    (folder / "trained_on_bgr.toml").write_text(
        'mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\ncolors = "RGB"\n'
    )
    words = ["diff", "model.onnx", "trained_on_bgr.onnx", "--image", "pics", "--html", "bgr.html"]
    print(f"\n$ edgec {' '.join(words)}        # trained_on_bgr.toml says RGB", flush=True)
    subprocess.run([sys.executable, "-m", "pipeline", *words], cwd=folder, check=False)
    photograph(folder / "bgr.html")
    (folder / "trained_on_bgr.toml").unlink()


def write_files(folder: Path) -> None:
    """Write the network in edgec's form and the stranger's forms of it."""
    known = find_model(NETWORK)
    network = load_model(known, find_weights(known), known.classes or 0)
    write_onnx(
        FromPixels(network, known.mean, known.std).eval(), known.input_shape, True, folder / "model.onnx"
    )
    behind = folder / "behind.onnx"
    behind_normalisation(folder / "model.onnx", behind, known.input_shape)
    behind_normalisation(folder / "model.onnx", folder / "trained_on_bgr.onnx", known.input_shape, bgr=True)
    pixels = np.stack([known.preprocessing(_read(one)) for one in sorted((folder / "pics").iterdir())])
    unit = (pixels / 255 - np.asarray(known.mean)) / np.asarray(known.std)
    for name, values in (("quantised.onnx", pixels), ("again.onnx", unit)):
        quantise(behind, folder / name, values.astype(np.float32).transpose(0, 3, 1, 2))
    behind.unlink()


def _read(photo: Path) -> NDArray[np.uint8]:
    pixels = cv2.imread(str(photo))
    assert pixels is not None  # noqa: S101 - the caller listed it
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def behind_normalisation(path: Path, output: Path, size: tuple[int, int, int], bgr: bool = False) -> None:
    """Write what stands behind the normalisation: float32 [n, C, H, W], with its colours in the order BGR."""
    model = onnx.load(path)
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    needed, kept = {one.name for one in model.graph.output}, list[onnx.NodeProto]()
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            kept.insert(0, node)
            needed |= set(node.input) - ({first.input[0]} if node is first else set())
    for tensor in model.graph.initializer:
        if bgr and tensor.name == first.input[1]:
            turned = numpy_helper.to_array(tensor)[:, ::-1].copy()
            tensor.CopyFrom(numpy_helper.from_array(turned, tensor.name))
    first.input[0] = "x"
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    used = {name for node in copies for name in node.input}
    constants = [one for one in model.graph.initializer if one.name in used]
    shape: list[str | int | None] = ["n", size[2], size[0], size[1]]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(copies, "network", inputs, list(model.graph.output), constants)
    onnx.save(helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version), output)


def quantise(path: Path, output: Path, inputs: NDArray[np.float32]) -> None:
    """Quantise with onnxruntime's own tool, calibrated on inputs [N, C, H, W]."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class FedPictures(CalibrationDataReader):  # type: ignore[misc] # it has no types
        """Gives one picture at a time."""

        def __init__(self) -> None:
            self.left = iter(inputs)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            """Return the next picture, None at the end."""
            one = next(self.left, None)
            return None if one is None else {"x": one[None]}

    quantize_static(
        path,
        output,
        FedPictures(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def photograph(page: Path) -> None:
    """Write the upper part of a page as a .webp beside it, by Chromium."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print(f"{page}: not photographed, there is no Chromium")
        return
    picture = page.with_suffix(".png")
    size = f"--window-size={WIDTH},{HEIGHT}"
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", size, f"--screenshot={picture}"]
    subprocess.run(
        [browser, *options, page.resolve().as_uri()],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    pixels = cv2.imread(str(picture))
    assert pixels is not None  # noqa: S101 - Chromium wrote it
    picture.unlink()
    picture = page.with_suffix(".webp")
    cv2.imwrite(str(picture), pixels, [cv2.IMWRITE_WEBP_QUALITY, 80])
    print(f"{picture}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
