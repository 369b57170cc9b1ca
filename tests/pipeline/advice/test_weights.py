"""What messages about files of weights advise."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor, nn

from pipeline.build.request import normalised_as
from pipeline.config import ExportConfig
from pipeline.data.open import open_dataset
from pipeline.difference.checkpoint_side import checkpoint_side
from pipeline.difference.opened_side import opened_side
from pipeline.errors import CheckpointError
from pipeline.models import resnet
from pipeline.models.checkpoint import load_model
from pipeline.models.own_normalisation import check_normalisation, normalisation_in_checkpoint
from pipeline.models.weights.content import read_content
from pipeline.models.zoo import find_model, find_weights
from pipeline.stages.export import write_onnx
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.data.pictures import class_folders, write_folder

MODEL = find_model("resnet20-fashion")


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return resnet.build(MODEL.architecture, 1, 10).state_dict()


def packed(pack: Callable[[bytes], bytes], plain: Path, path: Path) -> None:
    path.write_bytes(pack(plain.read_bytes()))


@pytest.mark.parametrize(
    ("kind", "pack"), [("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)]
)
def test_unpacking_helps(
    kind: str, pack: Callable[[bytes], bytes], weights: dict[str, Tensor], tmp_path: Path
) -> None:
    plain, path = tmp_path / "plain.pt", tmp_path / "w.pt"
    torch.save({key: value for key, value in weights.items() if value.ndim < 2} | weights, plain)
    packed(pack, plain, path)
    check_advice(
        f"packed with {kind}. Unpack it",
        lambda: load_model(MODEL, path, 10),
        lambda: path.write_bytes(plain.read_bytes()),
    )


def test_unpacking_a_zip_helps(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path, inside = tmp_path / "w.pt", tmp_path / "inside.pt"
    torch.save(weights, inside)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inside, "inside.pt")
        archive.writestr("readme.txt", "weights")
    check_advice("Unpack it", lambda: load_model(MODEL, path, 10), lambda: inside.replace(path))


def test_saving_the_tensors_of_a_module_helps(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path, network = tmp_path / "w.pt", resnet.build(MODEL.architecture, 1, 10)
    network.load_state_dict(weights)
    torch.save(network, path)
    check_advice(
        "torch.save(model.state_dict(), ...)",
        lambda: load_model(MODEL, path, 10),
        lambda: torch.save(network.state_dict(), path),
    )


CHOICES: dict[str, tuple[str, Callable[[dict[str, Tensor]], object], str | None, str]] = {
    "one of several": (
        "Say which: weights = ",
        lambda w: {"generator": w, "discriminator": w},
        None,
        "generator",
    ),
    "a place that is there": (
        "Say ema, raw, or one of these places",
        lambda w: {"state_dict": w},
        "ema",
        "raw",
    ),
    "the raw ones": (
        'say weights = "raw" (--weights raw)',
        lambda w: {"state_dict": w, "ema": {"shadow_params": list(w.values())}},
        None,
        "raw",
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_choosing_helps(name: str, weights: dict[str, Tensor], tmp_path: Path) -> None:
    words, content, before, after = CHOICES[name]
    path, chosen = tmp_path / "w.pt", [before]
    torch.save(content(weights), path)
    check_advice(words, lambda: load_model(MODEL, path, 10, chosen[-1]), lambda: chosen.append(after))


def test_another_number_of_classes_helps(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    other = resnet.build(MODEL.architecture, 1, 3).state_dict()
    torch.save(other, path)
    check_advice(
        "a checkpoint with as many classes",
        lambda: load_model(MODEL, path, 10),
        lambda: torch.save(weights, path),
    )


def test_a_file_that_is_there_helps(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    check_advice(
        "Give a .safetensors, .pt, .pth, .h5 or .keras file",
        lambda: find_weights(MODEL, path),
        lambda: torch.save(weights, path),
    )


def test_the_name_that_is_meant_helps() -> None:
    names = ["resnet20-fasion"]
    check_advice("resnet20-fashion", lambda: find_model(names[-1]), lambda: names.append("resnet20-fashion"))


State = dict[str, Tensor]


def test_a_file_for_a_model_without_weights_helps(weights: State, tmp_path: Path) -> None:
    given: list[Path | None] = [None]
    torch.save(weights, tmp_path / "w.pt")
    check_advice(
        "Give a .safetensors, .pt or .pth file with --checkpoint",
        lambda: find_weights(find_model("resnet18"), given[-1]),
        lambda: given.append(tmp_path / "w.pt"),
    )


def test_a_file_for_weights_that_are_not_at_hand_helps(weights: State, tmp_path: Path) -> None:
    given: list[Path | None] = [None]
    torch.save(weights, tmp_path / "w.pt")
    check_advice(
        "Give a file with --checkpoint (CHECKPOINT= in make)",
        lambda: find_weights(find_model("resnet20-cifar10"), given[-1], tmp_path),
        lambda: given.append(tmp_path / "w.pt"),
    )


def test_a_model_whose_classes_follow_the_pictures_helps(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", class_folders(train=12, test=6))
    models = [MODEL]
    check_advice(
        "or a model whose classes follow the data set, such as resnet18",
        lambda: models[-1].classes_for(len(open_dataset(folder).classes)),
        lambda: models.append(find_model("resnet18")),
    )


@pytest.mark.parametrize(
    "words", ["Say mean and std as the file has them under [export]", "save its weights alone"]
)
def test_saying_the_normalisation_of_the_training_helps(
    words: str, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    path, used = tmp_path / "w.pth", [MODEL]
    torch.save({"state_dict": weights, "args": {"mean": [0.1], "std": [0.2]}}, path)

    def attempt() -> None:
        own, model = normalisation_in_checkpoint(read_content(path)), used[-1]
        check_normalisation(own, (model.mean, model.std), path, False, lambda _: None)

    def heed() -> None:
        if words.startswith("Say"):
            used.append(normalised_as(MODEL, ExportConfig(mean=(0.1,), std=(0.2,))))
        else:
            torch.save(weights, path)

    check_advice(words, attempt, heed)


def test_only_the_tensors_of_nested_dictionaries_are_saved(
    weights: dict[str, Tensor], tmp_path: Path
) -> None:
    path, nested = tmp_path / "w.pt", dict[str, object](weights)
    inner: dict[str, object] = {}
    for _ in range(4):
        inner = {f"k{number}": inner for number in range(32)}
    torch.save(nested | {"history": inner}, path)
    check_advice(
        "values. Save only the tensors: torch.save(model.state_dict(), NEW_PATH).",
        lambda: load_model(MODEL, path, 10),
        lambda: torch.save(weights, path),
    )


def test_the_name_of_one_network_helps_where_the_weights_fit_two(tmp_path: Path) -> None:
    """A plain network has the weights of the residual one: only its sums are missing."""
    path = tmp_path / "weights.safetensors"
    known = find_model("plain20-cifar10")
    network = resnet.build(known.architecture, known.channels, 10)
    safetensors.torch.save_file(network.state_dict(), path)
    asked: list[str | None] = [None, "resnet20-cifar10"]
    check_advice(
        "Say which it is: --model resnet20-cifar10",
        lambda: checkpoint_side(path, asked[0]),
        lambda: asked.pop(0),
        CheckpointError,
    )


def test_the_name_of_its_architecture_helps_weights_that_fit_nothing(tmp_path: Path) -> None:
    """Wide networks are known by their names alone: there is one for each number of layers and each width."""
    path = tmp_path / "weights.safetensors"
    known = find_model("wrn16-2-cifar10")
    network = resnet.build(known.architecture, known.channels, 10)
    safetensors.torch.save_file(network.state_dict(), path)
    asked: list[str | None] = [None, known.name]
    check_advice(
        "that edgec knows by its weights alone. Name its architecture with --model",
        lambda: checkpoint_side(path, asked[0]),
        lambda: asked.pop(0),
        CheckpointError,
    )


def test_an_export_helps_weights_of_another_network(tmp_path: Path) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    )
    files = [tmp_path / "weights.pt", tmp_path / "net.onnx"]
    torch.save(network.state_dict(), files[0])

    def attempt() -> None:
        with opened_side(files[0]):
            pass

    def heed() -> None:
        write_onnx(resnet.FromPixels(network, (0.5,), (0.5,)).eval(), (8, 8, 3), True, files[1])
        files.pop(0)

    check_advice("or export it to ONNX with the program that trained it", attempt, heed, CheckpointError)
