"""What `edgec explain` advises is followed: then it is not refused."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from pipeline.data.open import open_dataset
from pipeline.errors import DataError, UsageError
from pipeline.explanation.asked_picture import AskedPicture, asked_picture
from pipeline.explanation.explained import Wanted, explain
from pipeline.explanation.opened_build import OpenedBuild, open_build
from pipeline.progress import Silent
from tests.pipeline.advice.followed import check_advice, check_other_words
from tests.pipeline.difference.small_pair import Pair
from tests.pipeline.explanation.built_pair import BuiltPair, built_pair


@pytest.fixture(scope="module")
def built(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> BuiltPair:
    return built_pair(pair, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def opened(built: BuiltPair) -> OpenedBuild:
    return open_build(built.sound)


@pytest.mark.parametrize("wrong", ["nothing", "data"])
def test_the_folder_of_a_build_helps(wrong: str, built: BuiltPair, opened: OpenedBuild) -> None:
    given = [built.data.with_name(wrong)]
    words = "Build first (`edgec build`), or give the folder of a build with --build."
    with pytest.raises(UsageError, match=re.escape(words)):
        open_build(given[-1])
    assert opened.folder == built.sound  # the folder of a build was given


def test_a_build_of_edgec_helps(built: BuiltPair, opened: OpenedBuild, tmp_path: Path) -> None:
    shutil.copytree(built.sound, tmp_path / "foreign")
    model = onnx.load(tmp_path / "foreign" / "model.onnx")
    model.graph.input[0].name = model.graph.node[0].input[0] = "pixels"
    onnx.save(model, tmp_path / "foreign" / "model.onnx")
    words = "does not take pixels as edgec's networks do. Build it anew."
    with pytest.raises(UsageError, match=re.escape(words)):
        open_build(tmp_path / "foreign")
    assert opened.folder == built.sound  # built by edgec


class TestPicture:
    """The picture to explain."""

    def test_one_picture_helps(self, built: BuiltPair, opened: OpenedBuild) -> None:
        given = [built.data]
        words = "is a folder. Give one picture"
        check_advice(
            words,
            lambda: asked_picture(given[-1], opened.preprocessing, None),
            lambda: given.append(built.picture),
        )

    def test_a_picture_that_is_there_helps(self, built: BuiltPair, opened: OpenedBuild) -> None:
        given = [Path("nothing.png")]
        words = "Give its file, or --data and an image's name in it."
        check_advice(
            words,
            lambda: asked_picture(given[-1], opened.preprocessing, None),
            lambda: given.append(built.picture),
        )

    def test_a_name_of_an_evaluation_image_helps(self, built: BuiltPair, opened: OpenedBuild) -> None:
        dataset = open_dataset(built.data)
        split = dataset.split("evaluation")
        name = split.images.name(int(split.indices[0]))
        given = [Path("nothing.png")]
        words = "has that name. Give a file, or a name such as "
        check_advice(
            f"{words}{name}",
            lambda: asked_picture(given[-1], opened.preprocessing, dataset),
            lambda: given.append(Path(name)),
        )

    def test_it_has_its_label_and_the_pixels_of_its_file(self, built: BuiltPair, opened: OpenedBuild) -> None:
        dataset = open_dataset(built.data)
        file = min((built.data / "test" / "class 2").iterdir())
        named = asked_picture(file.relative_to(built.data), opened.preprocessing, dataset)
        of_file = asked_picture(file, opened.preprocessing, dataset)
        assert (named.label, of_file.label) == (2, None)
        assert (named.pixels == of_file.pixels).all()

    def test_a_damaged_one_is_named(self, opened: OpenedBuild, tmp_path: Path) -> None:
        (tmp_path / "scrap.png").write_bytes(b"scrap that nobody reads")
        with pytest.raises(DataError, match=r"scrap\.png cannot be read"):
            asked_picture(tmp_path / "scrap.png", opened.preprocessing, None)


def test_the_data_of_the_build_helps(built: BuiltPair, opened: OpenedBuild, tmp_path: Path) -> None:
    shutil.copytree(built.data, tmp_path / "few", ignore=shutil.ignore_patterns("class 5"))
    given = [tmp_path / "few"]
    asked = asked_picture(built.picture, opened.preprocessing, None)
    check_advice(
        "Give the --data that it was built with.",
        lambda: explain(opened, asked, Wanted(open_dataset(given[-1]), 20, tries=False), Silent()),
        lambda: given.append(built.data),
    )


def test_data_helps_where_a_column_is_named(built: BuiltPair, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--labels names a column of --data's labels.csv. Give --data, too."
    whole: list[object] = ["explain", built.picture, "--build", built.sound, "--no-recipes"]
    first = [*whole, "--labels", "label"]
    data = built.data.with_name("table")
    shutil.copytree(built.data, data)
    rows = [
        f"{file.relative_to(data).as_posix()},{file.parent.parent.name},{file.parent.name}"
        for file in sorted(data.rglob("*.png"))
    ]
    (data / "labels.csv").write_text("\n".join(["file,split,label", *rows]) + "\n")
    check_other_words(words, first, [*first, "--data", data], capsys)


def test_classes_of_pixels_are_refused(built: BuiltPair, opened: OpenedBuild) -> None:
    models = []
    for given in (opened.float_model, opened.int8_model):
        model = onnx.ModelProto()
        model.CopyFrom(given)
        model.graph.output[0].CopyFrom(onnx.helper.make_empty_tensor_value_info("last.relu"))
        models.append(model)
    pixels = replace(opened, float_model=models[0], int8_model=models[1])
    asked: AskedPicture = asked_picture(built.picture, opened.preprocessing, None)
    with pytest.raises(UsageError, match="gives classes of pixels"):
        explain(pixels, asked, Wanted(None, 20, tries=False), Silent())
