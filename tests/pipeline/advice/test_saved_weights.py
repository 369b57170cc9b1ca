"""What messages about files of weights advise: to save them in another way."""

import json
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

from pipeline.models import resnet
from pipeline.models.checkpoint import load_model
from pipeline.models.zoo import find_model
from pipeline.reading.reading_limits import PACKED_TIMES
from tests.pipeline.advice.followed import check_advice

MODEL = find_model("resnet20-fashion")


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return resnet.build(MODEL.architecture, 1, 10).state_dict()


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
    "JSON, not weights. Name the file of weights": options,
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
