"""Weights from files that may be missing, damaged, unsafe or made for another network."""

import argparse
import pickle
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from pipeline.errors import CheckpointError, listed
from pipeline.models import resnet
from pipeline.models.dialects import renamed
from pipeline.models.keras import from_keras, read_keras
from pipeline.models.zoo import KNOWN_MODELS, KnownModel

ADVICE = "Save only the tensors: torch.save(model.state_dict(), ...), or a .safetensors file."

DAMAGE = (
    pickle.UnpicklingError,
    struct.error,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
)
"""What torch.load raises on truncated and scrambled files."""

WRAPPINGS = ("state_dict", "model_state_dict", "model", "net")
"""Where training checkpoints keep the weights: Lightning and the ImageNet example, torch's tutorial, ..."""

Weights = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


def load_model(model: KnownModel, checkpoint: Path, classes: int) -> nn.Module:
    """Build `model` for `classes` classes and load its weights, float32, in evaluation mode.

    Raises CheckpointError if the file is damaged, unsafe or does not fit; the text says which keys or shapes
    differ and which known model the file would fit.
    """
    weights = _weights_for(model, checkpoint)
    network = resnet.build(model.architecture, model.channels, classes)
    _check_fit(model, checkpoint, classes, _shapes(weights), _shapes(network.state_dict()))
    # strict: only num_batches_tracked, which counts training steps, may be absent
    network.load_state_dict(weights, strict=False)
    return network.eval()


def load_backbone(model: KnownModel, checkpoint: Path, classes: int) -> nn.Module:
    """Build `model` for `classes` classes with a checkpoint's weights in all layers but the classifier.

    The checkpoint's classes may be others. The network is left in training mode. Raises CheckpointError as
    `load_model` does.
    """
    weights = _weights_for(model, checkpoint)
    found = _shapes(weights)
    old = _classes(found) or classes
    _check_fit(model, checkpoint, old, found, _expected(model, old))
    network = resnet.build(model.architecture, model.channels, classes)
    head = resnet.classifier(network)
    own = next(name for name, module in network.named_modules() if module is head)
    kept = {key: value for key, value in weights.items() if not key.startswith(f"{own}.")}
    network.load_state_dict(kept, strict=False)
    return network


def _weights_for(model: KnownModel, checkpoint: Path) -> Weights:
    """Read weights in the form that `model` has: Keras' depend on the normalisation."""
    if checkpoint.suffix in (".h5", ".keras") and checkpoint.is_file():
        found = from_keras(read_keras(checkpoint), model.mean, model.std)
        return {key: _checked(value, key, checkpoint) for key, value in found.items()}
    return renamed(read_weights(checkpoint))


def read_weights(path: Path) -> Weights:
    """Read a .safetensors, .pt or .pth file into float32 tensors by key.

    Wrappings such as {'state_dict': ...} are taken off, and so are first parts of the name that all keys
    share, such as DataParallel's `module.`; num_batches_tracked is left out. Raises CheckpointError for a
    file that is missing, truncated, holds anything but tensors, or holds NaN or infinity.
    """
    if not path.is_file():
        raise CheckpointError(f"The checkpoint {path} does not exist or is not a file.")
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise CheckpointError(f"The name {path} ends in none of .safetensors, .pt, .pth, .h5 and .keras.")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    weights: Weights = {}
    for key, value in _without_prefix(_unwrapped(content, path)).items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path} holds more than tensors by name: {key!r} is {type(value).__name__}. {ADVICE}"
            )
        if not key.endswith("num_batches_tracked"):
            weights[key] = _checked(value, key, path)
    if not weights:
        raise CheckpointError(f"{path} holds no weights.")
    return weights


def _read_safetensors(path: Path) -> Mapping[str, object]:
    try:
        return dict(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({error}).") from error


def _read_torch(path: Path) -> Mapping[str, object]:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # plain values; many keep their options
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged, or holds Python objects that could run code when loaded; nothing of it was"
            f" run ({_refused(error)}). {ADVICE}"
        ) from error
    except DAMAGE as error:
        raise CheckpointError(f"{path} is truncated or no torch file ({_first_sentence(error)}).") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not weights by name. {ADVICE}")
    return content


def _refused(error: pickle.UnpicklingError) -> str:
    """Return what torch refused to load, if it says so."""
    name = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f"it names {name[1]}" if name else _first_sentence(error)


def _first_sentence(error: BaseException) -> str:
    """Shorten an error of torch's: they go on for paragraphs."""
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0].rstrip(".") if lines else type(error).__name__


def _unwrapped(content: Mapping[str, object], path: Path) -> Mapping[str, object]:
    """Take the weights out of a training checkpoint."""
    for key in WRAPPINGS:
        inner = content.get(key)
        if isinstance(inner, Mapping):
            return inner
        if inner is not None and not isinstance(inner, Tensor):
            raise CheckpointError(f"{path}: {key!r} holds {type(inner).__name__}, not weights by name.")
    return content


def _without_prefix(content: Mapping[str, object]) -> Mapping[str, object]:
    """Take off what DataParallel, torch.compile and Lightning put before every key of a network."""
    while len(firsts := {str(key).partition(".")[:2] for key in content}) == 1:
        ((first, dot),) = firsts
        if not dot:
            break
        content = {str(key).removeprefix(first + dot): value for key, value in content.items()}
    return content


def _checked(tensor: Tensor, key: str, path: Path) -> Tensor:
    if not tensor.is_floating_point() or tensor.layout != torch.strided:
        raise CheckpointError(f"{path}: {key} is {tensor.dtype}, not floating-point weights.")
    if tensor.is_meta or tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
        raise CheckpointError(f"{path}: {key} claims {tensor.numel():,} values and holds fewer.")
    tensor = tensor.float()
    if not tensor.isfinite().all():
        bad = int((~tensor.isfinite()).sum())
        raise CheckpointError(f"{path}: {key} has {bad} of {tensor.numel()} values that are NaN or infinite.")
    if key.endswith("running_var") and bool((tensor < 0).any()):
        raise CheckpointError(f"{path}: {key} has negative variances.")
    return tensor


def _shapes(weights: Mapping[str, Tensor]) -> Shapes:
    return {key: tuple(w.shape) for key, w in weights.items() if not key.endswith("num_batches_tracked")}


def _check_fit(model: KnownModel, path: Path, classes: int, found: Shapes, wanted: Shapes) -> None:
    """Raise CheckpointError with what differs, the class count first: it is the most common difference."""
    if found == wanted:
        return
    in_file = _classes(found)
    if in_file is not None and in_file != classes and found == _expected(model, in_file):
        raise CheckpointError(
            f"{path} has weights for {in_file} classes, the data set has {classes}. Use the data set it was"
            " trained on, a checkpoint with as many classes, or train a new head (edgec train --new-head)."
        )
    differences = {
        "missing": [key for key in wanted if key not in found],
        "unexpected": [key for key in found if key not in wanted],
        "of another shape": [
            f"{key} {list(found[key])} instead of {list(shape)}"
            for key, shape in wanted.items()
            if key in found and found[key] != shape
        ],
    }
    told = "; ".join(f"{len(keys)} {kind}: {listed(keys)}" for kind, keys in differences.items() if keys)
    convolutions = sum(len(shape) == 4 for shape in found.values())
    near = [known for known in KNOWN_MODELS if known.architecture.convolutions == convolutions]
    fitting = [known.name for known in near if in_file and found == _expected(known, in_file)]
    fits = f"would fit {' or '.join(fitting)} with {in_file} classes" if fitting else "fits no known model"
    raise CheckpointError(f"{path} does not fit {model.name} with {classes} classes. Keys {told}. It {fits}.")


def _classes(found: Shapes) -> int | None:
    """Read the class count off the classifier, if the file has one."""
    return next((found[key][0] for key in ("fc.bias", "linear.bias") if len(found.get(key, ())) == 1), None)


def _expected(model: KnownModel, classes: int) -> Shapes:
    with torch.device("meta"):
        return _shapes(resnet.build(model.architecture, model.channels, classes).state_dict())
