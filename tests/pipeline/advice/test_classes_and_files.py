"""What is said of class orders, long names, frozen programs and files of another kind, and that it helps."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from onnx import helper

from pipeline import readiness
from pipeline.build.plan import Build
from pipeline.build.rules import check_brought
from pipeline.config import BuildConfig, load_config
from pipeline.data.embedded import EMBEDDED
from pipeline.errors import CheckpointError, DataError
from pipeline.matrix.local_rows import LocalRows
from pipeline.matrix.planned_rows import PlannedRow
from pipeline.models import resnet
from pipeline.models.checkpoint import load_model
from pipeline.models.foreign.description import read_foreign
from pipeline.models.foreign.rewrite import adopt
from pipeline.models.zoo import KNOWN_MODELS, find_model
from pipeline.progress import Silent
from tests.pipeline.advice.followed import check_advice, check_other_words
from tests.pipeline.data.pictures import png, random_pixels, write_folder
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, save

Said = pytest.CaptureFixture[str]
NAMES = tuple("abcdefghij")


def pictures_of(root: Path, classes: tuple[str, ...], side: int = 8) -> Path:
    shown = random_pixels(4 * len(classes), side=side)
    return write_folder(
        root,
        {
            f"{'test' if n < 2 * len(classes) else 'train'}/{classes[n % len(classes)]}/{n}.png": png(one)
            for n, one in enumerate(shown)
        },
    )


def asked(**chosen: object) -> Build:
    return Build(load_config(BuildConfig, None, {"target": "reference", **chosen}), Silent())


def classifier(*ending: onnx.NodeProto, **more: object) -> onnx.ModelProto:
    """A convolution, pooling, and what stands behind `flat` [N, 4]."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat" if ending else "y"]),
        *ending,
    ]
    return graph(nodes, {"w": floats(4, 3, 3, 3)}, shape=("N", 3, 8, 8), **more)  # type: ignore[arg-type]


def test_labels_in_the_order_of_the_outputs_help(tmp_path: Path) -> None:
    model = classifier()
    entry = model.metadata_props.add()
    entry.key, entry.value = "names", json.dumps(["d", "c", "b", "a"])
    net = save(model, tmp_path)
    data = pictures_of(tmp_path / "data", NAMES[:4])
    words = "Every answer would be another class's. Name them in the order of the outputs, as labels in "
    check_advice(
        words,
        lambda: asked(model=str(net), data=data, out=tmp_path / "out").float_model.path,
        lambda: net.with_suffix(".toml").write_text('labels = ["d", "c", "b", "a"]\n'),
        DataError,
    )


def test_a_list_of_the_classes_helps(tmp_path: Path) -> None:
    known = find_model("resnet20-cifar10")
    torch.manual_seed(0)
    weights = resnet.build(known.architecture, known.channels, 10).state_dict()
    torch.save({"state_dict": weights, "classes": list(NAMES[::-1])}, tmp_path / "w.pt")
    data = pictures_of(tmp_path / "data", NAMES, side=32)
    more: dict[str, object] = {}

    def heed() -> None:
        (data / "classes.txt").write_text("".join(f"{name}\n" for name in NAMES[::-1]))
        more["class_order"] = "list"

    given = {"model": known.name, "checkpoint": tmp_path / "w.pt", "data": data, "out": tmp_path / "out"}
    words = "Every answer would be another class's. Write the names, in the order of the outputs, into a file"
    check_advice(words, lambda: asked(**given, **more).float_model.path, heed, DataError)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python says there that no such file exists")
def test_a_shorter_name_helps(out: Path, tmp_path: Path, capsys: Said) -> None:
    (bundle,) = out.glob("*.edgec")
    words = f"{'x' * 40}...: File name too long. Give a shorter name."
    check_other_words(words, ["model-card", tmp_path / ("x" * 300)], ["model-card", bundle], capsys)


@pytest.mark.parametrize("kept", ["quantized", "recipe"])
def test_one_of_a_quantised_network_and_a_recipe_helps(kept: str) -> None:
    both: dict[str, object] = {"quantized": __file__, "recipe": "w8a8_asym"}
    other = next(key for key in both if key != kept)
    check_advice(
        "Leave out either those or calibration.quantized (--quantized).",
        lambda: check_brought(BuildConfig.model_validate({"calibration": both}), None),
        lambda: both.pop(other),
    )


def test_an_export_without_what_stands_behind_the_scores_helps(tmp_path: Path) -> None:
    """Inside a function of the file no name can be given for them."""
    parts = [
        helper.make_node("Tanh", ["scores"], ["near"]),
        helper.make_node("ArgMax", ["near"], ["best"], axis=1),
    ]
    function = helper.make_function(
        "of.mine", "Best", ["scores"], ["best"], parts, [helper.make_opsetid("", 17)]
    )
    best = helper.make_node("Best", ["flat"], ["y"], domain="of.mine")
    net = save(classifier(best, functions=[function], other_domains=["of.mine"]), tmp_path)
    check_advice(
        ". Export the network without what stands behind its scores.",
        lambda: adopt(read_foreign(net), True, lambda _: None),
        lambda: save(classifier(), tmp_path),
        CheckpointError,
    )


WAYS: dict[str, Callable[[torch.jit.ScriptModule, Path], object]] = {
    "before torch.jit.freeze": lambda program, path: program.save(str(path)),
    "the state_dict": lambda program, path: torch.save(program.state_dict(), path),
}


@pytest.mark.parametrize("way", WAYS)
def test_saving_before_freezing_helps(way: str, tmp_path: Path) -> None:
    known, path = find_model("resnet20-fashion"), tmp_path / "w.pt"
    torch.manual_seed(0)
    network = resnet.build(known.architecture, 1, 10).eval()
    program = torch.jit.trace(network, torch.zeros(1, 1, 28, 28))  # type: ignore[no-untyped-call]
    torch.jit.freeze(program).save(str(path))
    check_advice(
        "holds no weights. If it is TorchScript that was frozen, they are in its program: save it before",
        lambda: load_model(known, path, 10),
        lambda: WAYS[way](program, path),
        CheckpointError,
    )


@pytest.mark.parametrize("way", ["--checkpoint", "export"])
def test_weights_with_a_model_or_an_export_help(way: str, tmp_path: Path) -> None:
    known, file = find_model("resnet20-cifar10"), tmp_path / "net.onnx"
    torch.manual_seed(0)
    torch.save(resnet.build(known.architecture, known.channels, 10).state_dict(), file)
    given: dict[str, object] = {"model": str(file), "data": pictures_of(tmp_path / "data", NAMES, side=32)}

    def heed() -> None:
        if way == "export":
            weights = {"w": floats(10, 3, 3, 3)}
            onnx.save(graph([*classifier().graph.node], weights, shape=("N", 3, 32, 32)), file)
        else:
            given.update(model=known.name, checkpoint=file)

    words = "Give it with --checkpoint and name the network with --model, or export the network to ONNX."
    check_advice(words, lambda: asked(**given, out=tmp_path / "out").float_model.path, heed)


def test_git_brings_back_the_embedded_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted(path for path in EMBEDDED.iterdir() if path.suffix == ".safetensors")
    (tmp_path / "data").mkdir()
    for file in files:
        shutil.copy(file, tmp_path / "data")
    for command in (["init", "-q"], ["add", "data"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    for file in files:
        (tmp_path / "data" / file.name).unlink()
    monkeypatch.setattr(readiness, "EMBEDDED", tmp_path / "data")
    moved = [replace(one, data=tmp_path / "data") if one.data == EMBEDDED else one for one in KNOWN_MODELS]
    monkeypatch.setattr(readiness, "KNOWN_MODELS", moved)

    def found() -> tuple[bool | None, str]:
        (one,) = (one for one in readiness.findings(tmp_path) if one.what == "embedded data")
        return one.fine, one.advice

    assert found() == (False, "restore data/ from git")
    subprocess.run(["git", "restore", "data"], cwd=tmp_path, check=True)
    assert found() == (True, "")


class RowKilledAtFirst(PlannedRow):
    """A row whose process is killed the first time, as the kernel does when memory runs out."""

    def __setstate__(self, state: dict[str, object]) -> None:
        config = state["config"]
        assert isinstance(config, BuildConfig)
        before = config.out / "killed"
        if not before.exists():
            before.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self.__dict__.update(state)


def test_the_same_command_again_helps_a_row_that_was_killed(warm_out: Path, quick: Path) -> None:
    config = load_config(BuildConfig, quick, {"out": warm_out})

    def problem() -> str:
        row = RowKilledAtFirst("resnet20-fashion", "default", "reference", "none", config)
        ((_, outcome),) = LocalRows().run([row], Silent())
        return outcome.problem

    words = "was ended by signal 9, as the kernel does when memory runs out. Run the same command again."
    assert words in problem()
    assert problem() == ""
