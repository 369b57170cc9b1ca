"""A network that computes over a batch is refused, and compiled for one image once that is said."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from pipeline.cache.digest import InputFile
from pipeline.data.split import Split
from pipeline.errors import CheckpointError
from pipeline.models.foreign.description import Description, described
from pipeline.stages.adopt import Adopt
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, save


@dataclass
class _Batch:
    images: NDArray[np.uint8]


class _Pictures:
    """Five random pictures, in the place of a split."""

    classes = ("a", "b", "c", "d")

    def readable(self, _: object, batch_size: int) -> Iterator[_Batch]:
        yield _Batch(np.random.default_rng(0).integers(0, 256, (batch_size, 8, 8, 3)).astype(np.uint8))


OVER_IMAGES: dict[str, list[onnx.NodeProto]] = {
    "ReduceMean": [
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["flat", "mean"], ["centred"]),
        helper.make_node("Add", ["centred", "bias"], ["y"]),
    ],
    "Softmax": [
        helper.make_node("Softmax", ["flat"], ["shares"], axis=0),
        helper.make_node("Add", ["shares", "bias"], ["y"]),
    ],
    "other shapes": [
        helper.make_node("Gather", ["flat", "first"], ["one"], axis=0),
        helper.make_node("Add", ["one", "bias"], ["y"]),
    ],
}


@pytest.mark.parametrize("name", OVER_IMAGES)
def test_answers_that_depend_on_the_images_beside_them(name: str, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        *OVER_IMAGES[name],
    ]
    weights: dict[str, NDArray[Any]] = {"w": floats(4, 3, 3, 3), "bias": floats(4), "first": np.array([0])}
    path = save(graph(nodes, weights), tmp_path)
    told = "gives other answers for 2" if name == "other shapes" else f"images of a batch, in {name} "
    with pytest.raises(CheckpointError, match=told) as error:
        checked(path, True)
    assert "Set dynamic_batch = false under [export] in the configuration" in str(error.value)
    assert checked(path, False) == 1


def checked(path: Path, dynamic_batch: bool) -> int:
    """Adopt a network and return how many batches were compared."""
    source = described(path, Description(size=(8, 8)))
    stage = Adopt(
        classes=4,
        file=InputFile.at(source.path),
        check_images=cast("Split", _Pictures()),
        dynamic_batch=dynamic_batch,
        max_difference=1e-3,
        model=source,
    )
    return len(list(stage.write(path.with_name("adopted.onnx"), lambda _: None)))


@pytest.mark.parametrize("dynamic_batch", [True, False])
def test_answers_that_are_no_numbers_are_called_that(dynamic_batch: bool, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Add", ["flat", "bias"], ["y"]),
    ]
    weights: dict[str, NDArray[Any]] = {"w": floats(4, 3, 3, 3), "bias": np.full(4, np.nan, np.float32)}
    with pytest.raises(CheckpointError, match="answers with NaN or infinity"):
        checked(save(graph(nodes, weights), tmp_path), dynamic_batch)


def test_a_file_for_four_images_that_cannot_take_one_is_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["maps"]),
        helper.make_node("Mul", ["maps", "factors"], ["scaled"]),
        helper.make_node("Add", ["scaled", "maps"], ["sum"]),
        helper.make_node("Concat", ["sum", "other"], ["joined"], axis=1),
        helper.make_node("GlobalAveragePool", ["joined"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["y"]),
    ]
    weights = {"w": floats(3, 3, 3, 3), "factors": floats(1, 3, 1, 1), "other": floats(4, 1, 6, 6)}
    path = save(graph(nodes, weights, shape=[4, 3, 8, 8]), tmp_path)
    with pytest.raises(CheckpointError, match=r"another number of images at once, and fails .* with 1\."):
        checked(path, True)
