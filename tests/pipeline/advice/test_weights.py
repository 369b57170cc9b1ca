"""What messages about files of weights advise."""

import bz2
import gzip
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.distributed.checkpoint import format_utils, state_dict_saver

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
from pipeline.reading.reading_limits import PACKED_TIMES
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


Folder = Path
State = dict[str, Tensor]


def as_shards(weights: State, folder: Folder) -> tuple[Path, list[Path]]:
    """Two parts and the list of them, as Hugging Face's libraries write them."""
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    keys = list(weights)
    for name, part in zip(names, (keys[:50], keys[50:]), strict=True):
        safetensors.torch.save_file({key: weights[key] for key in part}, folder / name)
    listed = {key: names[keys.index(key) >= 50] for key in keys}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": listed}))
    return index, [folder / name for name in names]


def joined(parts: list[Path], path: Path) -> None:
    whole = {key: value for part in parts for key, value in safetensors.torch.load_file(part).items()}
    safetensors.torch.save_file(whole, path)


def list_of_parts(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    index, parts = as_shards(weights, folder)
    return index, lambda path: joined(parts, path)


def one_part(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    _, parts = as_shards(weights, folder)
    return parts[0], lambda path: joined(parts, path)


def exported_program(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return cast("Tensor", self.network(x))

    path = folder / "w.pt2"
    torch.export.save(torch.export.export(Holder(), (torch.zeros(1, 2),)), path)
    assert dict(torch.export.load(path).state_dict).keys() == Holder().state_dict().keys()
    return path, lambda new: torch.save(weights, new)  # a whole ResNet takes seconds to export


def numpy_arrays(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    path = folder / "w.npz"
    np.savez(path, allow_pickle=False, **{key: value.numpy() for key, value in weights.items()})
    return path, lambda new: safetensors.numpy.save_file(dict(np.load(path)), new.with_suffix(".safetensors"))


def pickled_arrays(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    arrays = {key: value.numpy() for key, value in weights.items()}
    torch.save(arrays, folder / "w.pth")
    return folder / "w.pth", lambda new: torch.save(
        {key: torch.as_tensor(value) for key, value in arrays.items()}, new
    )


def quantised(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    small = {
        k: torch.quantize_per_tensor(v, 0.1, 0, torch.qint8) if v.ndim == 4 else v for k, v in weights.items()
    }
    torch.save(small, folder / "w.pth")
    return folder / "w.pth", lambda new: torch.save(weights, new)


def sparse(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    thin = {key: value.to_sparse() if value.ndim == 2 else value for key, value in weights.items()}
    torch.save(thin, folder / "w.pth")
    dense = {key: value.to_dense() if value.layout != torch.strided else value for key, value in thin.items()}
    return folder / "w.pth", lambda new: torch.save(dense, new)


def of_integers(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    torch.save({key: value.to(torch.int8) for key, value in weights.items()}, folder / "w.pth")
    return folder / "w.pth", lambda new: torch.save(weights, new)


def options(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    (folder / "config.json").write_text('{"classes": 10}')
    return folder / "config.json", lambda new: torch.save(weights, new)


def a_folder(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    (folder / "epoch 3").mkdir()
    return folder / "epoch 3", lambda new: torch.save(weights, new)


def swollen(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    with zipfile.ZipFile(folder / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", bytes(PACKED_TIMES * 3 << 20))
    return folder / "w.pth", lambda new: torch.save(weights, new)


def none_inside(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    with zipfile.ZipFile(folder / "w.zip", "w") as archive:
        archive.writestr("readme.txt", "weights")
    return folder / "w.zip", lambda new: torch.save(weights, new)


def distributed(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    state_dict_saver.save(dict(weights), checkpoint_id=folder / "parts", no_dist=True)
    part = next((folder / "parts").glob("*.distcp"))
    return part, lambda new: format_utils.dcp_to_torch_save(folder / "parts", new)


def of_flax(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    (folder / "w.msgpack").write_bytes(b"\x81\xa6params")
    return folder / "w.msgpack", lambda new: torch.save(weights, new)


def of_gguf(weights: State, folder: Folder) -> tuple[Path, Callable[[Path], object]]:
    (folder / "w.gguf").write_bytes(b"GGUF\x03\0\0\0" + bytes(80))
    return folder / "w.gguf", lambda new: torch.save(weights, new)


SAVED: dict[str, Callable[[State, Folder], tuple[Path, Callable[[Path], object]]]] = {
    "lists the parts of a network's weights. Join all parts into one file": list_of_parts,
    "is part 1 of 2 of a network's weights. Join all parts into one file": one_part,
    "torch.save(dict(torch.export.load(PATH).state_dict), NEW_PATH)": exported_program,
    "safetensors.numpy.save_file(dict(numpy.load(PATH)), NEW_PATH)": numpy_arrays,
    "torch.as_tensor(value) for key, value in ARRAYS.items()": pickled_arrays,
    "torch.distributed.checkpoint.format_utils.dcp_to_torch_save(FOLDER, NEW_PATH)": distributed,
    "in torch and save its state_dict, or export the network to ONNX": of_flax,
    "in blocks of fewer bits. Give the checkpoint that it was": of_gguf,
    "Give the checkpoint from before": quantised,
    "Save it dense: value.to_dense()": sparse,
    "not floating-point weights. Save only the tensors": of_integers,
    "is JSON, not weights. Name the file of weights": options,
    "is not a file. Name the file of weights": a_folder,
    "which weights do not. Save it again": swollen,
    "Unpack it and name the file of weights in it": none_inside,
}


@pytest.mark.parametrize("words", SAVED)
def test_weights_saved_in_another_way_help(words: str, weights: State, tmp_path: Path) -> None:
    path, save = SAVED[words](weights, tmp_path)
    given = [path]

    def heed() -> None:
        save(tmp_path / "new.pth")
        given.append(next(path for path in tmp_path.glob("new.*")))

    check_advice(words, lambda: load_model(MODEL, given[-1], 10), heed)


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
