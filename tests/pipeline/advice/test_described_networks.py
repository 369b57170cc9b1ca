"""What builds and the doctor advise about networks from elsewhere: a description, labels, another file."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from pipeline.build.averaged import common_evaluation
from pipeline.build.plan import Build
from pipeline.build.request import Request
from pipeline.cli.app import run
from pipeline.config import BuildConfig, load_config
from pipeline.diagnosis.by_accuracy import choose_by_accuracy
from pipeline.models.class_list import classes_in_metadata
from pipeline.models.foreign.description import read_foreign
from pipeline.models.foreign.rewrite import adopt
from pipeline.models.input_form import usual_forms
from pipeline.progress import Silent
from pipeline.reading.reading_limits import LITERAL_CHARACTERS
from pipeline.task import Task
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.diagnosis.colours import COLOURS, TURNED, folder, scenes, write
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, save
from tests.pipeline.models.foreign.quantised.forms import grouped_with_wide_weights, uint8_weights
from tests.pipeline.models.foreign.quantised.others import MEAN, STD, model, read

FORM = next(iter(usual_forms(3)))
Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("net") / "net.onnx", FORM, norms=False)


def asked(model: Path, data: Path, out: Path, **more: object) -> Build:
    chosen = {"model": str(model), "data": data, "out": out, "target": "reference", **more}
    return Build(load_config(BuildConfig, None, chosen), Silent())


def test_labels_help_where_the_data_set_has_fewer_classes(net: Path, tmp_path: Path) -> None:
    some = {name: COLOURS[name] for name in [*COLOURS][1:]}
    data = folder(tmp_path / "data", palette=some)
    copy = tmp_path / "net.onnx"
    copy.write_bytes(net.read_bytes())
    said = 'fit = "stretch"\n'
    description = copy.with_suffix(".toml")
    labels = f"labels = {json.dumps([*COLOURS])}\n"
    for words, attempt in (
        (
            "Name the network's classes, in the order of its outputs, under labels in",
            lambda: choose_by_accuracy(read_foreign(copy), data),
        ),
        ("Name its classes, in the order", lambda: asked(copy, data, tmp_path / "out").float_model),
    ):
        description.write_text(said)
        check_advice(words, attempt, lambda: description.write_text(said + labels))


def test_masks_help_the_doctor(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", FORM, palette=TURNED, of_pixels=True)
    labels = f"labels = {json.dumps([*TURNED])}\n"
    path.with_suffix(".toml").write_text(f'fit = "stretch"\ntask = "segment"\n{labels}')
    data = [folder(tmp_path / "plain", palette=TURNED, test=2)]
    check_advice(
        "Put them into <split>/masks, beside <split>/images",
        lambda: choose_by_accuracy(read_foreign(path), data[-1]),
        lambda: data.append(scenes(tmp_path / "masked", TURNED)),
    )


def test_labelled_images_decide_what_a_picture_leaves_open(net: Path, tmp_path: Path, capsys: Said) -> None:
    copy = tmp_path / "net.onnx"
    copy.write_bytes(net.read_bytes())
    data = folder(tmp_path / "data")
    picture = next(data.rglob("*.png"))
    assert run(["doctor", str(copy), "--image", str(picture), "--write"]) == 1
    assert "Give labelled images with --data, or 8 pictures or more with --image" in capsys.readouterr().err
    assert run(["doctor", str(copy), "--data", str(data), "--write"]) == 0
    assert read_foreign(copy).mean == FORM.mean


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"checkpoint": __file__}, "holds its own weights; leave the checkpoint out"),
        ({"weights": "ema"}, "holds one set of weights; leave `weights` out"),
        ({"export.mean": (0.5,)}, "give mean, std and colors there, not under [export]"),
    ],
)
def test_an_onnx_file_without_what_it_holds_itself_helps(
    more: dict[str, object], words: str, net: Path, tmp_path: Path
) -> None:
    data = folder(tmp_path / "data", test=1, train=1)
    given = dict(more)
    check_advice(words, lambda: asked(net, data, tmp_path / "out", **given), given.clear)


def test_the_float_network_helps_where_the_model_is_quantised() -> None:
    models: list[Any] = [SimpleNamespace(is_quantised=True, config=SimpleNamespace(model="theirs.onnx"))]
    check_advice(
        "Give the one that it was made from",
        lambda: Request.require_float(models[-1], "write"),
        lambda: models.append(SimpleNamespace(is_quantised=False)),
    )


def test_members_of_an_ensemble_with_the_same_data_help() -> None:
    def member(classes: tuple[str, ...]) -> Any:  # noqa: ANN401 -- what is asked of a build
        return SimpleNamespace(
            model=SimpleNamespace(name="net", task=Task.CLASSIFY),
            target=SimpleNamespace(name="host"),
            dataset=SimpleNamespace(classes=classes),
            evaluation=SimpleNamespace(digest="same"),
        )

    members = [member(("a", "b")), member(("b", "a"))]
    check_advice(
        "Give them the same data and target",
        lambda: common_evaluation(members),
        lambda: members.__setitem__(1, member(("a", "b"))),
    )


def test_weights_that_are_numbers_help(tmp_path: Path) -> None:
    def network(weight: float) -> onnx.ModelProto:
        kernels = floats(6, 3, 3, 3)
        kernels[0, 0, 0, 0] = weight
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["maps"]),
            helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["y"]),
        ]
        return graph(nodes, {"w": kernels}, shape=("N", 3, 8, 8))

    path = save(network(np.nan), tmp_path)
    data = folder(tmp_path / "data", test=2, train=1)
    path.with_suffix(".toml").write_text(f"labels = {json.dumps([*COLOURS])}\n")
    check_advice(
        "Look for them in its weights",
        lambda: asked(path, data, tmp_path / "out").float_model,
        lambda: save(network(0.5), tmp_path),
    )


def test_an_operator_of_today_helps(tmp_path: Path) -> None:
    def network(operator: str, opset: int) -> onnx.ModelProto:
        nodes = [
            helper.make_node(operator, ["x"], ["turned"]),
            helper.make_node("Conv", ["turned", "w"], ["maps"]),
            helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["y"]),
        ]
        return graph(nodes, {"w": floats(4, 3, 3, 3)}, shape=("N", 3, 8, 8), opset=opset)

    path = save(network("GRUUnit", 6), tmp_path)
    check_advice(
        ". Export it in a newer opset.",
        lambda: adopt(read_foreign(path), True, lambda _: None),
        lambda: save(network("Relu", 17), tmp_path),
    )


def test_leaving_out_metadata_that_is_too_long_helps() -> None:
    entries = {"names": "a," * LITERAL_CHARACTERS, "author": "somebody"}
    check_advice(
        "are read. Leave it out of the network.",
        lambda: classes_in_metadata(entries),
        lambda: entries.pop("names"),
    )


class TestQuantised:
    """Networks that others have quantised."""

    def test_the_size_of_its_images_helps(self, tmp_path: Path) -> None:
        path = tmp_path / "theirs.onnx"
        onnx.save(model(*uint8_weights()), path)
        said: dict[str, object] = {"size": (16, 16)}
        check_advice("Say size and channels in", lambda: read(path, **said), said.clear)

    def test_turning_channels_in_the_network_helps(self, tmp_path: Path) -> None:
        """Each group of the first layer reads one channel, so other weights cannot turn the order."""
        path = tmp_path / "theirs.onnx"
        nodes, constants = grouped_with_wide_weights()
        onnx.save(model(nodes, constants), path)
        said: dict[str, object] = {"colors": "BGR", "mean": MEAN, "std": STD}
        words = "Swap them in the network, and leave colors out"
        check_advice(words, lambda: read(path, **said), lambda: said.pop("colors"))
