"""Settings for DeepStream's nvinfer and nvdspreprocess, which pass the pixels to the network unchanged."""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import UsageError
from pipeline.packages.golden import golden_files
from pipeline.packages.jetson_graphs import LARGEST_BATCH, below, build_script, graphs
from targets.errors import EngineError
from targets.runtime.bundle.archive import OpenBundle
from targets.runtime.preprocess import MARGIN
from targets.tensorrt.planar_input import PROBABILITIES, with_planar_input

STREAM = (1920, 1080)
"""Width and height of the frames that nvstreammux hands on, for the part that is cut out of them."""
STOCK_LIBRARY = "/opt/nvidia/deepstream/deepstream/lib/gst-plugins/libcustom2d_preprocess.so"
"""DeepStream's own; its sources make floats alone of pixels, so the graph reads floats."""
READ_ME = """# {model} for DeepStream

On the device:

    ./build_engine.sh        # model.plan, by the TensorRT of this device, DeepStream's own

Then either `nvinfer config-file-path=nvinfer.txt`, or `nvdspreprocess config-file=nvdspreprocess.txt !
nvinfer config-file-path=nvinfer.txt input-tensor-meta=1`. No library has to be built. nvinfer builds none
here: with `network-mode=1` and no calibration table it would go to FP16. So `onnx-file` is left out, and it
stops where model.plan is missing.

What the network reads is exact: nvinfer multiplies pixels by 1 and subtracts 0, and every uint8 is a float.
Mean and standard deviation are in the graph.

## What is not the same: scaling

edgec's accuracy is that of its own resize, `preprocessing.json`: {fit}. DeepStream scales on its GPU or VIC
(`scaling-filter=1`, bilinear), and makes RGB of a camera's NV12 itself, so it gives other pixels, and other
logits. How much accuracy that costs was not measured. {lost}

Where that matters, give frames of {width} x {height}, and set nvstreammux to `width={width} height={height}`:
nothing is scaled then. golden/N.png are such frames:

    gst-launch-1.0 multifilesrc location=golden/0.png caps=image/png num-buffers=1 ! pngdec ! \\
      videoconvert ! nvvideoconvert ! 'video/x-raw(memory:NVMM),format=RGBA' ! m.sink_0 \\
      nvstreammux name=m batch-size=1 width={width} height={height} ! \\
      nvinfer config-file-path=nvinfer.txt output-tensor-meta=1 ! fakesink

Its class has to be that of the largest of golden/0.logits; probabilities are their softmax.

onnxruntime computed the golden logits from what these settings say; no DeepStream has read them yet.
"""
LOST = {
    "stretch": "Both scale width and height apart.",
    "letterbox": "Both keep proportions and centre the picture; DeepStream's border is black.",
    "pad": "edgec does not enlarge small pictures and DeepStream does, so it needs frames of the right size.",
    "crop": "edgec cuts out the middle; nvinfer alone would squeeze the whole frame, so use "
    f"nvdspreprocess.txt, whose part is that of frames of {STREAM[0]} x {STREAM[1]}.",
}


def files(bundle: OpenBundle) -> Mapping[str, bytes]:
    """Return the files of the package. Raises UsageError for a bundle that is not for a Jetson."""
    manifest = bundle.manifest
    try:
        engine = graphs(bundle, "deepstream", with_planar_input)
    except EngineError as error:
        raise UsageError(f"No package for deepstream: {error}.") from error
    steps = manifest.preprocessing
    sizes = {name: steps[name] for name in ("width", "height", "fit")}
    text = READ_ME.format(model=manifest.model, lost=LOST[steps["fit"]], **sizes)
    return {
        **below("build", engine),
        "build_engine.sh": build_script("model.plan", "build"),
        "nvinfer.txt": nvinfer(steps, len(manifest.classes), manifest.pixels is not None).encode(),
        "nvdspreprocess.txt": nvdspreprocess(steps).encode(),
        "labels.txt": (";".join(name.replace(";", ",") for name in manifest.classes) + "\n").encode(),
        **below("golden", golden_files(bundle)),
        "preprocessing.json": bundle.read("preprocessing.json"),
        "README.md": text.encode(),
    }


def nvinfer(steps: Mapping[str, Any], classes: int, for_each_pixel: bool) -> str:
    """Return nvinfer's settings; `steps` are the fields of Preprocessing."""
    task = {
        "network-type": 2 if for_each_pixel else 1,  # 1: a classifier, 2: a class for each pixel
        **({"segmentation-threshold": 0.0} if for_each_pixel else {"classifier-threshold": 0.0}),
    }
    return _section(
        "property",
        {
            "gpu-id": 0,
            "gie-unique-id": 1,
            "process-mode": 1,
            "model-engine-file": "model.plan",
            "labelfile-path": "labels.txt",
            "batch-size": LARGEST_BATCH,
            "network-mode": 1,  # INT8
            "infer-dims": f"{steps['channels']};{steps['height']};{steps['width']}",
            "network-input-order": 0,  # NCHW
            "model-color-format": _colors(steps),
            "net-scale-factor": 1.0,
            "num-detected-classes": classes,
            "output-blob-names": PROBABILITIES,
            **_proportions(steps),
            "scaling-filter": 1,  # bilinear
            **task,
        },
    )


def nvdspreprocess(steps: Mapping[str, Any]) -> str:
    """Return nvdspreprocess's settings: the same tensor, of a part of each frame where edgec crops."""
    shape = f"{LARGEST_BATCH};{steps['channels']};{steps['height']};{steps['width']}"
    common = {
        "enable": 1,
        "unique-id": 5,
        "gpu-id": 0,
        "target-unique-ids": 1,
        "process-on-frame": 1,
        "network-input-order": 0,  # NCHW
        "network-input-shape": shape,
        "network-color-format": _colors(steps),
        "tensor-data-type": 0,  # FP32
        "tensor-name": "image",
        "processing-width": steps["width"],
        "processing-height": steps["height"],
        **_proportions(steps),
        "scaling-buf-pool-size": 6,
        "tensor-buf-pool-size": 6,
        "scaling-pool-memory-type": 0,
        "scaling-pool-compute-hw": 0,
        "scaling-filter": 1,  # bilinear
        "custom-lib-path": STOCK_LIBRARY,
        "custom-tensor-preparation-function": "CustomTensorPreparation",
    }
    group: dict[str, object] = {"src-ids": "-1", "process-on-roi": 0}
    if steps["fit"] == "crop":
        part = ";".join(map(str, part_of_frame(steps, *STREAM)))
        group = {"src-ids": 0, "process-on-roi": 1, "roi-params-src-0": part}
    group["custom-input-transformation-function"] = "CustomAsyncTransformation"
    return (
        _section("property", common)
        + _section("user-configs", {"pixel-normalization-factor": 1.0})
        + _section("group-0", group)
    )


def part_of_frame(steps: Mapping[str, Any], width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the part of a frame that "crop" keeps, in its pixels.

    The shorter side becomes `resize`, or larger than the input's by MARGIN; the input is the middle.
    """
    if steps["resize"]:
        by_height, side = height < width, steps["resize"]
    else:
        by_height = height * steps["width"] < width * steps["height"]
        side = (steps["height"] if by_height else steps["width"]) * MARGIN[0] / MARGIN[1]
    shrunk = max(1.0, (height if by_height else width) / side)
    found = []
    for whole, kept in ((width, steps["width"]), (height, steps["height"])):
        scaled = max(kept, round(whole / shrunk))
        found.append((round((scaled - kept) // 2 * whole / scaled), round(kept * whole / scaled)))
    (left, wide), (top, high) = found
    return left, top, wide, high


def _colors(steps: Mapping[str, Any]) -> int:
    return 2 if steps["channels"] == 1 else 0  # gray or RGB


def _proportions(steps: Mapping[str, Any]) -> dict[str, object]:
    keeps = steps["fit"] in ("letterbox", "pad")
    return {"maintain-aspect-ratio": int(keeps), "symmetric-padding": int(keeps)}


def _section(name: str, values: Mapping[str, object]) -> str:
    return f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in values.items())
