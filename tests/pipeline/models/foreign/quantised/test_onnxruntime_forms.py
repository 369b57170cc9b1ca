"""What `onnxruntime.quantization.quantize_static` writes: computed as onnxruntime computes it."""

from pathlib import Path
from typing import Any

import pytest
from onnxruntime.quantization import QuantFormat, QuantType
from torch import nn

from calibration.foreign_qdq import check_written_anew
from calibration.scheme import Scheme
from tests.pipeline.models.foreign.mobile_networks import MobileNetLike, ShuffleNetLike
from tests.pipeline.models.foreign.plain_networks import DenseNetLike, HighwayLike
from tests.pipeline.models.foreign.quantised.others import (
    as_it_came,
    by_onnxruntime,
    decibels,
    in_integers,
    normalised,
    pictures,
    read,
    written_anew,
)

QDQ, QOPERATOR = {"quant_format": QuantFormat.QDQ}, {"quant_format": QuantFormat.QOperator}
U8S8 = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
U8U8 = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8}
S8S8 = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
EACH_CHANNEL = {"per_channel": True}
EXACT, ROUNDED_ELSEWHERE = 100.0, 30.0
"""In dB. Where the order of float operations differs, a value at a half is rounded to the other side, by one
step.
A fault, such as a zero point taken for another, leaves less than 20."""


def extra(**options: object) -> dict[str, Any]:
    return {"extra_options": options}


class LocalResponses(nn.Sequential):
    """torch writes an If where it takes a dimension out of the neighbouring channels' sums."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.ReLU(),
            nn.LocalResponseNorm(3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 10),
        )


FORMS = {
    "QDQ u8s8, a scale each channel": (MobileNetLike, QDQ | U8S8 | EACH_CHANNEL),
    "QDQ u8s8, one scale": (DenseNetLike, QDQ | U8S8),
    "QDQ u8u8": (MobileNetLike, QDQ | U8U8),
    "QDQ u8u8, a scale each channel": (DenseNetLike, QDQ | U8U8 | EACH_CHANNEL),
    "QDQ s8s8, symmetric": (MobileNetLike, QDQ | S8S8 | extra(ActivationSymmetric=True)),
    "QDQ s8s8, asymmetric weights too": (DenseNetLike, QDQ | S8S8 | extra(WeightSymmetric=False)),
    "QDQ, weights stored in float": (MobileNetLike, QDQ | U8S8 | extra(AddQDQPairToWeight=True)),
    "QDQ, a pair for each reader": (DenseNetLike, QDQ | U8S8 | extra(DedicatedQDQPair=True)),
    "QDQ, float biases": (MobileNetLike, QDQ | U8S8 | extra(QuantizeBias=False)),
    "QDQ, convolutions alone": (DenseNetLike, QDQ | U8S8 | {"op_types_to_quantize": ["Conv"]}),
    "QDQ in onnxruntime's domain": (MobileNetLike, QDQ | U8S8 | extra(UseQDQContribOps=True)),
    "QDQ around what cannot be in integers": (HighwayLike, QDQ | U8S8),
    "QDQ around an If that the images' size decides": (LocalResponses, QDQ | U8S8),
    "QDQ around shuffled channels": (ShuffleNetLike, QDQ | U8S8),
    "QOperator u8s8": (MobileNetLike, QOPERATOR | U8S8),
    "QOperator u8u8": (DenseNetLike, QOPERATOR | U8U8),
    "QOperator s8s8, a scale each channel": (MobileNetLike, QOPERATOR | S8S8 | EACH_CHANNEL),
    "QOperator with functions": (HighwayLike, QOPERATOR | U8S8),
}


@pytest.mark.parametrize(("kind", "settings"), FORMS.values(), ids=FORMS)
def test_the_engine_computes_what_the_graph_says(
    kind: type[nn.Module], settings: dict[str, Any], tmp_path: Path
) -> None:
    theirs, images = by_onnxruntime(kind, tmp_path, **settings), pictures(12)
    expected, network = as_it_came(theirs, normalised(images)), read(theirs)
    assert decibels(expected, written_anew(network, images)) > ROUNDED_ELSEWHERE
    assert decibels(expected, in_integers(network, images, tmp_path)) > ROUNDED_ELSEWHERE
    written = network.quantised(Scheme.ASYM)
    check_written_anew(written.model, "theirs.onnx", Scheme.ASYM, written.in_float)


def test_constants_inside_of_an_if(tmp_path: Path) -> None:
    theirs, images = by_onnxruntime(LocalResponses, tmp_path, prepared=False, **QDQ, **U8S8), pictures(4)
    assert decibels(as_it_came(theirs, normalised(images)), written_anew(read(theirs), images)) > EXACT


@pytest.mark.parametrize("opset", [13, 15, 19, 20])
def test_opsets(opset: int, tmp_path: Path) -> None:
    theirs, images = by_onnxruntime(MobileNetLike, tmp_path, opset, **QDQ, **U8S8), pictures(4)
    assert decibels(as_it_came(theirs, normalised(images)), written_anew(read(theirs), images)) > EXACT


def test_symmetric_int8_is_compiled_for_tensorrt_as_it_is(tmp_path: Path) -> None:
    settings = QDQ | S8S8 | EACH_CHANNEL | extra(ActivationSymmetric=True)
    theirs, images = by_onnxruntime(MobileNetLike, tmp_path, **settings), pictures(4)
    network = read(theirs)
    written = network.quantised(Scheme.SYM)
    slower = check_written_anew(written.model, "theirs.onnx", Scheme.SYM, written.in_float)
    assert {finding.what for finding in slower} == {"both of its branches are quantised"}
    expected = as_it_came(theirs, normalised(images))
    assert decibels(expected, written_anew(network, images, Scheme.SYM)) > EXACT
