"""Weights from files that may be missing, damaged, unsafe or made for another network."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.data.imagenet_classes import SOME_OF_IMAGENET, imagenet_classes
from pipeline.errors import CheckpointError, listed
from pipeline.models import resnet
from pipeline.models.dialects import classifier_of, renamed
from pipeline.models.keras import keras_weights
from pipeline.models.weights.content import ADVICE, read_content
from pipeline.models.weights.state_dicts import (
    MOST_SETS,
    Fitting,
    StateDict,
    choose,
    state_dicts,
    unreadable_averages,
    without_prefix,
    without_shared_prefix,
)
from pipeline.models.zoo import KNOWN_MODELS, KnownModel

QUANTISED = "is of a network that torch has quantised. Give the checkpoint from before; edgec quantises it."

WAYS_OUT = (
    (
        re.compile(r"\.weight_(orig|mask)$"),
        "Its weights are pruned by masks: torch.nn.utils.prune.remove(module, 'weight') for each, and save"
        " again.",
    ),
    (
        re.compile(r"\.weight_[gv]$|\.parametrizations\."),
        "Its weights are computed from others: torch.nn.utils.parametrize.remove_parametrizations(module,"
        " 'weight') for each, or remove_weight_norm(module), and save again.",
    ),
)
"""Keys that torch's own tools store instead of a weight, and what to do about them."""

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".th", ".ckpt")
"""Suffixes of weight files, also those of Hugging Face's libraries."""

Say = Callable[[str], None]
Weights = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


def load_model(
    model: KnownModel,
    checkpoint: Path,
    classes: int,
    weights: str | None = None,
    say: Say = lambda _: None,
    *,
    new_head: bool = False,
) -> nn.Module:
    """Build `model` for `classes` classes and load its weights, float32, in evaluation mode.

    weights: which of several sets in the file, see `choose`; `say` is called with what was taken. new_head:
    leave the classifier as it was initialised, so that the checkpoint may have other classes. Raises
    CheckpointError if the file is damaged, unsafe or does not fit; the text says which keys or shapes differ
    and which known model the file would fit.
    """
    network = resnet.build(model.architecture, model.channels, classes)
    own = _shapes(network.state_dict())
    head = _classifier_keys(network)

    def classes_in(shapes: Shapes) -> int:
        return (_classes(shapes) or classes) if new_head else classes

    def wanted(shapes: Shapes) -> Shapes:
        return {key: (classes_in(shapes), *shape[1:]) if key in head else shape for key, shape in own.items()}

    found = _weights_for(model, checkpoint, lambda shapes: shapes == wanted(shapes), weights, say)
    shapes = _shapes(found)
    _check_fit(model, checkpoint, classes_in(shapes), shapes, wanted(shapes))
    kept = {key: value for key, value in found.items() if key not in head} if new_head else found
    # not strict: num_batches_tracked, which counts training steps, is absent; `_check_fit` compared the rest
    network.load_state_dict(kept, strict=False)
    return network.eval()


def _classifier_keys(network: nn.Module) -> frozenset[str]:
    head = resnet.classifier(network)
    (prefix,) = (name for name, module in network.named_modules() if module is head)
    return frozenset(f"{prefix}.{key}" for key in head.state_dict())


def _weights_for(
    model: KnownModel, checkpoint: Path, fits: Callable[[Shapes], bool], wanted: str | None, say: Say
) -> Weights:
    """Read weights for `model`; those of Keras are converted to the model's normalisation."""
    if checkpoint.suffix in (".h5", ".keras") and checkpoint.is_file():
        found = keras_weights(checkpoint, model.mean, model.std)
        return {key: _checked(value, key, checkpoint) for key, value in found.items()}
    return read_weights(checkpoint, fits, wanted, say)


def read_weights(
    path: Path,
    fits: Callable[[Shapes], bool] | None = None,
    wanted: str | None = None,
    say: Say = lambda _: None,
) -> Weights:
    """Read a file of safetensors, torch or TorchScript into float32 tensors by key.

    The file may hold several sets, nested in dictionaries such as {'state_dict': ...}, with prefixes such as
    DataParallel's `module.`. A set that `fits` is taken; `choose` decides between several, and documents
    `wanted` and `say`. If none fits, the first set is returned. num_batches_tracked is left out. Raises
    CheckpointError for a file that is missing, damaged, holds no weights, or holds NaN or infinity.
    """
    if not path.is_file():
        raise CheckpointError(
            f"The checkpoint {path} does not exist or is not a file. Name the file of"
            f" weights{_in_folder(path)}."
        )
    content = read_content(path)
    sets = state_dicts(content)
    if not sets:
        raise CheckpointError(_no_weights(content, path))
    if len(sets) > MOST_SETS:
        raise CheckpointError(f"{path} has more than {MOST_SETS:,} sets of weights. {ADVICE}")
    fitting = [one for found in sets for one in _fitting(found, fits)]
    if not fitting:
        return _not_fitting(sets[0], content, path)
    unusable = unreadable_averages(content)
    unusable += [f"{prefix}.*" for one in fitting for prefix in one.averages_left_out]
    used = {one.source.place for one in fitting}
    unusable += [one.place for one in sets if one.averaged and not any(u.startswith(one.place) for u in used)]
    taken = choose(fitting, unusable, wanted, path, say)
    return {key: _checked(value, key, path) for key, value in taken.weights.items()}


def _in_folder(path: Path) -> str:
    """Return the files of weights in a folder, as words for a message; empty if there are none."""
    found = sorted(one.name for one in path.iterdir() if one.suffix in SUFFIXES) if path.is_dir() else []
    return f": {listed(found)} in that folder" if found else ""


def settings_of(path: Path) -> Mapping[object, object]:
    """Return the settings in a checkpoint, such as its classes; none from Keras' files.

    Raises CheckpointError as `read_weights` does.
    """
    return {} if path.suffix in (".h5", ".keras") else read_content(path)


def _fitting(found: StateDict, fits: Callable[[Shapes], bool] | None) -> list[Fitting]:
    """Return every part of a set that fits. Prefixes distinguish a network from its average."""
    if fits is None:
        return []
    parts = [
        (prefix, kept, weights)
        for prefix, kept in without_prefix(found.tensors)
        for head in (_classifier_beside(found.tensors, prefix),)
        if fits(_shapes(weights := renamed(_without_counters({**kept, **head}))))
    ]
    inside = {prefix + key for prefix, kept, _ in parts for key in kept}
    inside |= {key for prefix, *_ in parts for key in _classifier_beside(found.tensors, prefix)}
    rest = {key: value for key, value in found.tensors.items() if key not in inside}
    if parts and fits(_shapes(weights := renamed(_without_counters(rest)))):
        parts.append(("", rest, weights))
        rest = {}
    left_out = tuple(rest)
    if len(parts) == 1:
        return [Fitting(found, parts[0][2], left_out)]
    places = [".".join(filter(None, (found.place, prefix.rstrip(".")))) for prefix, *_ in parts]
    return [
        Fitting(replace(found, place=place, tensors=kept), weights, left_out)
        for place, (_, kept, weights) in zip(places, parts, strict=True)
    ]


def _classifier_beside(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return a classifier that lies outside a network's prefix, as in `backbone.conv1`, `head.fc`."""
    of_network = [key for key in tensors if key.startswith(prefix)]
    if not prefix or any(tensors[key].ndim == 2 for key in of_network):
        return {}
    head = classifier_of({key: value for key, value in tensors.items() if not key.startswith(prefix)})
    return (
        {} if head is None else {f"{head}.{part}": tensors[f"{head}.{part}"] for part in ("weight", "bias")}
    )


def _not_fitting(found: StateDict, content: Mapping[object, object], path: Path) -> Weights:
    """Return weights that do not fit, for an error message that lists the differences."""
    if not found.place:
        for key, value in content.items():
            if not isinstance(key, str) or not isinstance(value, Tensor):
                raise CheckpointError(_no_weights({key: value}, path))
    kept = _without_counters(without_shared_prefix(found.tensors))
    return renamed({key: _checked(value, key, path) for key, value in kept.items()})


def _without_counters(tensors: Mapping[str, Tensor]) -> Weights:
    return {key: value for key, value in tensors.items() if not key.endswith("num_batches_tracked")}


def _no_weights(content: Mapping[object, object], path: Path) -> str:
    if not content:
        return (
            f"{path} holds no weights. If it is TorchScript that was frozen, they are in its program: save it"
            " before torch.jit.freeze, or the state_dict of the module that it was made from."
        )
    if any("_packed_params" in str(key) for key in content):
        return f"{path} {QUANTISED}"
    key, value = next(iter(content.items()))
    return f"{path} holds more than tensors by name: {key!r} is {type(value).__name__}. {ADVICE}"


def _checked(tensor: Tensor, key: str, path: Path) -> Tensor:
    if tensor.is_quantized or key.endswith("zero_point"):
        raise CheckpointError(f"{path} {QUANTISED}")
    if tensor.layout != torch.strided:
        raise CheckpointError(f"{path}: {key} is sparse. Save it dense: value.to_dense().")
    if not tensor.is_floating_point():
        raise CheckpointError(f"{path}: {key} is {tensor.dtype}, not floating-point weights. {ADVICE}")
    if tensor.is_meta or tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
        raise CheckpointError(f"{path}: {key} declares {tensor.numel():,} values but holds fewer.")
    try:
        tensor = tensor.float()
    except RuntimeError as error:  # torch stores types that it does not compute with, such as 4 bits
        raise CheckpointError(
            f"{path}: {key} is {tensor.dtype}, which torch cannot convert to float32."
        ) from error
    if not tensor.isfinite().all():
        bad = int((~tensor.isfinite()).sum())
        raise CheckpointError(f"{path}: {key} has {bad} of {tensor.numel()} values that are NaN or infinite.")
    if key.endswith("running_var") and bool((tensor < 0).any()):
        raise CheckpointError(f"{path}: {key} has negative variances.")
    return tensor


def _shapes(weights: Mapping[str, Tensor]) -> Shapes:
    return {key: tuple(w.shape) for key, w in weights.items() if not key.endswith("num_batches_tracked")}


def _check_fit(model: KnownModel, path: Path, classes: int, found: Shapes, wanted: Shapes) -> None:
    """Raise CheckpointError with the differences; a different number of classes has its own message."""
    if found == wanted:
        return
    in_file = _classes(found)
    if in_file is not None and in_file != classes and found == _expected(model, in_file):
        raise CheckpointError(
            f"{path} has weights for {in_file} classes; the data set has {classes}. Use the data set it was"
            " trained on, a checkpoint with as many classes, or train a new head (edgec train --new-head)."
            f"{SOME_OF_IMAGENET if in_file == len(imagenet_classes()) else ''}"
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
    parts = [f"{len(keys)} {kind}: {listed(keys)}" for kind, keys in differences.items() if keys]
    convolutions = sum(len(shape) == 4 for shape in found.values())
    near = [known for known in KNOWN_MODELS if known.architecture.convolutions == convolutions]
    fitting = [known.name for known in near if in_file and found == _expected(known, in_file)]
    fits = f"would fit {' or '.join(fitting)} with {in_file} classes" if fitting else "fits no known model"
    raise CheckpointError(
        f"{path} does not fit {model.name} with {classes} classes. Keys {'; '.join(parts)}. It {fits}."
        f"{_way_out([*differences['missing'], *differences['unexpected']])}"
    )


def _way_out(keys: list[str]) -> str:
    """Return what to do about keys that torch's own tools leave in a checkpoint; empty for others."""
    if keys and all(key.endswith(("running_mean", "running_var")) for key in keys):
        return " Save model.state_dict(); parameters alone have no running means and variances."
    return next((f" {advice}" for pattern, advice in WAYS_OUT if any(map(pattern.search, keys))), "")


def _classes(found: Shapes) -> int | None:
    """Return the number of classes of the classifier; None if the file has none."""
    return next((found[key][0] for key in ("fc.bias", "linear.bias") if len(found.get(key, ())) == 1), None)


def _expected(model: KnownModel, classes: int) -> Shapes:
    with torch.device("meta"):
        return _shapes(resnet.build(model.architecture, model.channels, classes).state_dict())


def fitting_models(path: Path) -> tuple[list[KnownModel], int | None]:
    """Return the known models that a file's weights fit, and its number of classes.

    Raises CheckpointError as `read_weights` does.
    """
    if path.suffix in (".h5", ".keras"):
        return [], None
    shapes = _shapes(read_weights(path))
    classes = _classes(shapes)
    if classes is None:
        return [], None
    convolutions = sum(len(shape) == 4 for shape in shapes.values())
    near = [known for known in KNOWN_MODELS if known.architecture.convolutions == convolutions]
    fitting = [known for known in near if known.classes in (None, classes)]
    return [known for known in fitting if _expected(known, classes) == shapes], classes
