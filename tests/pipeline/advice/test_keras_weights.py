"""What messages about weights of Keras advise."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from onnx import helper

from pipeline.models.foreign.description import read_foreign
from pipeline.models.foreign.rewrite import adopt
from pipeline.models.keras import read_keras
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, save


def test_keras_weights_in_one_file_help(tmp_path: Path) -> None:
    path, own = tmp_path / "w.h5", tmp_path / "own.h5"
    with h5py.File(own, "w") as file:
        file["conv1_conv/kernel"] = np.zeros(4, np.float32)
    with h5py.File(path, "w") as file:
        raw = [("raw.bin", 0, 16)]
        file.create_dataset("conv1_conv/kernel", (4,), np.float32, external=raw)
    check_advice(
        "in another file. Save the weights as one file", lambda: read_keras(path), lambda: own.replace(path)
    )


def test_packed_keras_weights_are_saved_without_compression(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"

    def save(**options: str) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("conv1_conv/conv1_conv/kernel:0", data=np.zeros((8, 8), "f4"), **options)

    save(compression="gzip")
    check_advice("packed. Save the weights without compression", lambda: read_keras(path), save)


def test_a_network_that_keras_weights_are_of_helps(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file["block1/kernel"] = np.zeros(4, np.float32)
    given: list[Callable[[], object]] = [partial(read_keras, path)]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["y"]),
    ]
    network = save(graph(nodes, {"w": floats(4, 3, 3, 3)}, shape=("N", 3, 8, 8)), tmp_path)
    check_advice(
        "Export another network as ONNX and give that as the model",
        lambda: given[-1]() is None,
        lambda: given.append(lambda: adopt(read_foreign(network), True, lambda _: None)),
    )
