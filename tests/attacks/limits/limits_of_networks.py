"""Files beyond the limits of what reads networks, weights and recorded logits."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

from pipeline.difference.opened_side import opened_side
from pipeline.models import keras
from pipeline.models.checkpoint import read_weights
from pipeline.models.class_list import classes_in_metadata
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.rewrite import adopt
from pipeline.models.keras import read_keras
from pipeline.models.weights import tensor_bounds
from pipeline.reading import pickle_steps
from pipeline.reading.reading_limits import (
    LITERAL_CHARACTERS,
    TFLITE_BYTES,
    WEIGHTS_LIST_BYTES,
)
from tests.attacks import growing
from tests.attacks.limits.beyond_limits import (
    BY_BYTES,
    DEEP,
    NO_NEST,
    NO_PICTURE,
    Case,
    Limits,
    fewer_values,
    lowered,
    npy,
    packed,
    sized,
    sound_one,
    text,
    zeros,
)
from tests.attacks.shared_tflite import shared
from tests.fuzz.readers import put
from tests.fuzz.sound_files import sound


def network(path: Path) -> object:
    return adopt(described(path, Description(size=(32, 32), channels=1, fit="pad")), True, lambda _: None)


def compared(path: Path) -> object:
    with opened_side(path) as side:
        return side


def safetensors(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


def onnx_file(model: Callable[[], object]) -> Case:
    return lambda folder, _: network(put(model().SerializeToString(), folder / "net.onnx"))  # type: ignore[attr-defined]


def functions_in_functions(count: int) -> object:
    return growing.network(
        growing.node("g0", ["r"], ["q"], domain="f"), functions=growing.doubling_functions(count)
    )


NETWORKS: Limits = {
    "network": {
        "bytes": sized(network, "net.onnx", (8 << 30) + 1),
        "elements": onnx_file(lambda: growing.network(*growing.range_to("huge"))),
        "depth": onnx_file(lambda: functions_in_functions(40)),
        "pixels": lambda folder, _: adopt(
            described(
                put(sound("network", folder), folder / "net.onnx"),
                Description(size=(1 << 13, 1 << 13), channels=1, fit="pad"),
            ),
            True,
            lambda _: None,
        ),
    },
    "weights": {
        "bytes": packed(zeros("x/data.pkl", 64 << 20), read_weights, "x.pt"),
        "elements": lowered(pickle_steps, "PICKLE_STEPS", 5, sound_one("weights", read_weights, "x.pt")),
        "depth": "its unpickler does not call itself",
        "pixels": NO_PICTURE,
    },
    "torch before zip": {
        "bytes": lowered(
            tensor_bounds, "WEIGHTS_TIMES", 0, sound_one("torch before zip", read_weights, "x.pt")
        ),
        "elements": lowered(
            pickle_steps, "PICKLE_STEPS", 40, sound_one("torch before zip", read_weights, "x.pt")
        ),
        "depth": "its unpickler does not call itself",
        "pixels": NO_PICTURE,
    },
    "tar of torch": {
        "bytes": "twenty names of it are read",
        "elements": "twenty names of it are read",
        "depth": NO_NEST,
        "pixels": NO_PICTURE,
    },
    "keras": {
        "bytes": packed(zeros("model.weights.h5", 64 << 20), read_keras, "x.keras"),
        "elements": lowered(keras, "KERAS_VALUES", 100, sound_one("keras", read_keras, "x.h5")),
        "depth": lowered(keras, "KERAS_GROUPS", 1, sound_one("keras", read_keras, "x.h5")),
        "pixels": NO_PICTURE,
    },
    "safetensors": {
        "bytes": text(read_weights, "x.safetensors", safetensors(b"{}", WEIGHTS_LIST_BYTES + 1)),
        "elements": fewer_values(
            read_weights, "x.safetensors", safetensors(json.dumps({"a": [0] * 100}).encode()).decode()
        ),
        "depth": text(read_weights, "x.safetensors", safetensors(b'{"a":' + DEEP.encode())),
        "pixels": NO_PICTURE,
    },
    "recorded logits": {
        "bytes": lambda folder, _: compared(put(npy(1 << 40), folder / "x.npy")),
        "elements": BY_BYTES,
        "depth": NO_NEST,
        "pixels": NO_PICTURE,
    },
    "tflite": {
        "bytes": sized(compared, "x.tflite", TFLITE_BYTES + 1),
        "elements": lambda folder, _: compared(put(shared(tensors=5000, name=1000), folder / "x.tflite")),
        "depth": "each level is read by a loop of its own",
        "pixels": lambda folder, _: compared(put(shared(side=8192), folder / "x.tflite")),
    },
    "classes in a network": {
        "bytes": lambda _, __: classes_in_metadata({"names": "a" * (LITERAL_CHARACTERS + 1)}),
        "elements": NO_NEST,
        "depth": NO_NEST,
        "pixels": NO_PICTURE,
    },
}
