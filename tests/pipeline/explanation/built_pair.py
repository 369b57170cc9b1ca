"""The folder of a build of the small network, with labelled pictures, as `edgec explain` reads it."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import numpy_helper

from pipeline.difference.side import graph_logits
from tests.pipeline.difference.small_pair import CLASSES, Pair, pictures
from tests.pipeline.report.samples import report

RECIPE = "w8a8_asym_mse_bc"
NAMES = tuple(f"class {number}" for number in range(CLASSES))


@dataclass(frozen=True)
class BuiltPair:
    """A build, the same with another bias in INT8's last layer, their images, and a picture.

    INT8 gives the picture the same class as FP32 in the sound build, and another one in the faulty build.
    """

    sound: Path
    faulty: Path
    data: Path
    picture: Path


def built_pair(pair: Pair, folder: Path) -> BuiltPair:
    """Write two builds and a data set of 40 pictures, labelled in turn."""
    many = pictures(40)
    faulty = onnx.ModelProto()
    faulty.CopyFrom(pair.quantised[RECIPE])
    logits = graph_logits(faulty, many[:1])[0]
    last, first = np.argsort(logits)[-2:]
    bias = next(one for one in faulty.graph.initializer if one.name == faulty.graph.node[-1].input[2])
    value = numpy_helper.to_array(bias).copy()
    value[last] += logits[first] - logits[last] + 0.5
    bias.CopyFrom(numpy_helper.from_array(value, bias.name))
    for name, model in (("sound", pair.quantised[RECIPE]), ("faulty", faulty)):
        (folder / name).mkdir()
        onnx.save(pair.float_model, folder / name / "model.onnx")
        onnx.save(model, folder / name / "model.int8.onnx")
        made = report(classes=NAMES, images=600)
        subject = made.subject.replace(recipe=RECIPE, dataset="pictures", calibration_images=12)
        made.replace(subject=subject).save(folder / name / "report.json")
    for number, picture in enumerate(many[1:]):
        split = ("calibration", "test")[number // CLASSES % 2]
        file = folder / "data" / split / NAMES[number % CLASSES] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), picture[:, :, ::-1])
    cv2.imwrite(str(folder / "picture.png"), many[0][:, :, ::-1])
    return BuiltPair(folder / "sound", folder / "faulty", folder / "data", folder / "picture.png")
