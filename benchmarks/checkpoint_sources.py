"""Do checkpoints of torchvision, timm and Keras give the same logits here as in their libraries?

    pip install torchvision timm keras      # in an environment of its own
    python -m benchmarks.checkpoint_sources [NAME ...]      # their names; without any, all
    python -m benchmarks.checkpoint_sources --build [NAME ...]    # also builds them, for 64 pixels

Every network gets random weights and norms with random statistics in its own library, is saved as that
library saves it, loaded as CHECKPOINT= would be, and compared on random images of 224 pixels, normalised by
each side's own rule. Printed: the largest difference of a logit, relative to the largest logit. A library
that is not installed is named and left out.

Found with torchvision 0.28.0, timm 1.0.31 and keras 3.15.1 (torch backend), torch 2.13.0 on a CPU:

    torchvision  resnet18                 as resnet18           0.0e+00
    torchvision  resnet34                 as resnet34           0.0e+00
    torchvision  resnet50                 as resnet50           0.0e+00
    torchvision  resnet101                as resnet101          0.0e+00
    torchvision  resnet152                as resnet152          0.0e+00
    torchvision  wide_resnet50_2          as resnet50-wide2     0.0e+00
    torchvision  wide_resnet101_2         as resnet101-wide2    0.0e+00
    timm         resnet18                 as resnet18           0.0e+00
    timm         resnet34                 as resnet34           0.0e+00
    timm         resnet50                 as resnet50           0.0e+00
    timm         resnet101                as resnet101          0.0e+00
    timm         resnet152                as resnet152          0.0e+00
    timm         resnetv2_18              as preresnet18        2.7e-07
    timm         resnetv2_50              as preresnet50        2.0e-07
    timm         resnetv2_101             as preresnet101       3.6e-07
    Keras        ResNet50 .weights.h5     as resnet50-v1        1.2e-04
    Keras        ResNet50 .h5             as resnet50-v1        1.2e-04
    Keras        ResNet50 .keras          as resnet50-v1        1.2e-04
    Keras        ResNet101 .weights.h5    as resnet101-v1       7.0e-05
    Keras        ResNet101 .h5            as resnet101-v1       7.0e-05
    Keras        ResNet101 .keras         as resnet101-v1       7.0e-05
    Keras        ResNet152 .weights.h5    as resnet152-v1       4.0e-05
    Keras        ResNet152 .h5            as resnet152-v1       4.0e-05
    Keras        ResNet152 .keras         as resnet152-v1       4.0e-05
    Keras        ResNet50V2 .weights.h5   as preresnet50-keras  1.1e-06
    Keras        ResNet50V2 .h5           as preresnet50-keras  1.1e-06
    Keras        ResNet50V2 .keras        as preresnet50-keras  1.1e-06
    Keras        ResNet101V2 .weights.h5  as preresnet101-keras 1.6e-06
    Keras        ResNet101V2 .h5          as preresnet101-keras 1.6e-06
    Keras        ResNet101V2 .keras       as preresnet101-keras 1.6e-06
    Keras        ResNet152V2 .weights.h5  as preresnet152-keras 1.7e-06
    Keras        ResNet152V2 .h5          as preresnet152-keras 1.7e-06
    Keras        ResNet152V2 .keras       as preresnet152-keras 1.7e-06

With --build norms have seen 32 images of 64 pixels, and a row has also: the largest difference of a logit,
relative to the largest, between the library's network and edgec's ONNX file in onnxruntime; of 64 images how
many have the class of FP32 in INT8, the signal to noise of the logits, and the share of the engine's time
that is in integers.

The difference of Keras' ResNet50 and its kin is the padded border of the first convolution: its zero is half
a grey level from ours.
"""

import argparse
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.random_network import CALIBRATION, RandomNetwork, build_and_run, pictures
from benchmarks.random_weights import settle
from pipeline.models.checkpoint import load_model
from pipeline.models.resnet import FromPixels
from pipeline.models.zoo import KnownModel, find_model
from pipeline.stages.export import write_onnx
from targets.processor import cpu_name
from targets.registry import find_target

TORCHVISION = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet152": "resnet152",
    "wide_resnet50_2": "resnet50-wide2",
    "wide_resnet101_2": "resnet101-wide2",
}
TIMM = {
    **{f"resnet{depth}": f"resnet{depth}" for depth in (18, 34, 50, 101, 152)},
    "resnetv2_18": "preresnet18",
    "resnetv2_50": "preresnet50",
    "resnetv2_101": "preresnet101",
}
KERAS = {
    **{f"ResNet{depth}": f"resnet{depth}-v1" for depth in (50, 101, 152)},
    **{f"ResNet{depth}V2": f"preresnet{depth}-keras" for depth in (50, 101, 152)},
}

Pixels = NDArray[np.uint8]
SIDE, IMAGES = 64, 64
"""Of networks that are built: the side of their images, and how many they are tried on."""


def wanted(name: str) -> bool:
    """Whether a network was asked for."""
    asked = [word for word in sys.argv[1:] if word != "--build"]
    return not asked or name in asked


def calm(network: nn.Module, model: KnownModel) -> nn.Module:
    """Give norms the statistics of images."""
    torch.manual_seed(0)
    shown = pictures(CALIBRATION, (SIDE, SIDE, 3), seed=2)
    settle(FromPixels(network, model.mean, model.std), [torch.from_numpy(shown)])
    return network.eval()


def restless(network: nn.Module) -> nn.Module:
    """Give norms statistics that matter."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, 0, 0.1)
    return network.eval()


def torch_cases(
    make: Callable[[str], nn.Module], names: dict[str, str], folder: Path, images: Pixels, build: bool
) -> Iterator[tuple[str, str, Path, NDArray[np.float32]]]:
    """Yield their name, ours, the checkpoint and the logits there."""
    for name, ours in names.items():
        if not wanted(name):
            continue
        path, model = folder / f"{name}.pth", find_model(ours)
        network = calm(make(name), model) if build else restless(make(name))
        torch.save(network.state_dict(), path)
        with torch.inference_mode():
            logits = FromPixels(network, model.mean, model.std).eval()(torch.from_numpy(images))
        yield name, ours, path, logits.numpy()


def keras_cases(folder: Path, images: Pixels) -> Iterator[tuple[str, str, Path, NDArray[np.float32]]]:
    """As `torch_cases`, in all of Keras' formats."""
    import keras  # type: ignore[import-not-found, unused-ignore]

    families = keras.applications.resnet, keras.applications.resnet_v2
    for name, ours in KERAS.items():
        if not wanted(name):
            continue
        network: Any = getattr(keras.applications, name)(weights=None, classifier_activation=None)
        random = np.random.default_rng(0)
        for weight in network.weights:
            if weight.name in ("moving_mean", "beta", "bias"):
                weight.assign(random.normal(0, 0.1, weight.shape))
            elif weight.name in ("moving_variance", "gamma"):
                weight.assign(random.uniform(0.5, 1.0, weight.shape))
        fed = families[name.endswith("V2")].preprocess_input(images.astype(np.float32))
        logits = np.asarray(network.predict(fed, verbose=0), np.float32)
        for path in (folder / f"{name}.weights.h5", folder / f"{name}.h5", folder / f"{name}.keras"):
            (network.save_weights if path.name.endswith(".weights.h5") else network.save)(path)
            yield f"{name} {path.name.removeprefix(name)}", ours, path, logits


def main() -> None:
    """Print one line a network. Ends with exit code 1 if there was none to compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", help="networks, by the names of their libraries; all if absent")
    parser.add_argument("--build", action="store_true", help="also build an engine for this machine")
    build = parser.parse_args().build
    os.environ.setdefault("KERAS_BACKEND", "torch")
    # torchvision's compiled operators, such as nms, exist only beside the torch it was built with; its
    # networks need none of them
    sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
    images = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), np.uint8)
    if build:
        images = pictures(IMAGES, (SIDE, SIDE, 3), seed=1)
        print(f"{date.today()}, {cpu_name()}")
    compared = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for library, cases in sources(folder, images, build).items():
            try:
                for name, ours, path, expected in cases:
                    model = find_model(ours)
                    network = FromPixels(load_model(model, path, 1000), model.mean, model.std).eval()
                    with torch.inference_mode():
                        found = network(torch.from_numpy(images)).numpy()
                    difference = np.abs(found - expected).max() / np.abs(expected).max()
                    more = built(network, ours, images, expected, folder) if build else ""
                    print(f"    {library:12} {name:24} as {ours:18} {difference:.1e}{more}", flush=True)
                    compared += 1
                    path.unlink()
            except ImportError as error:
                print(f"    {library:12} is not here: {error}")
    if not compared:
        sys.exit("Nothing was compared. Install torchvision, timm or Keras beside edgec.")


def built(network: nn.Module, name: str, images: Pixels, expected: NDArray[np.float32], folder: Path) -> str:
    """Build an engine for this machine, and say how near it is; expected: the library's logits."""
    subject = RandomNetwork(name, folder / "model.onnx", images, pictures(CALIBRATION, images.shape[1:], 2))
    write_onnx(network, images.shape[1:], True, subject.model)
    fp32, found = build_and_run(subject, find_target("host"), folder)
    difference = np.abs(fp32 - expected).max() / np.abs(expected).max()
    integers = 1 - (found.float_time or 0)
    return f", ONNX {difference:.1e}; {found.agreement:.1%}, {found.sqnr_db:.1f} dB, integers {integers:.0%}"


def sources(
    folder: Path, images: Pixels, build: bool
) -> dict[str, Iterator[tuple[str, str, Path, NDArray[np.float32]]]]:
    """Return the cases of each library; nothing is imported before the first case is asked for."""

    def torchvision_network(name: str) -> nn.Module:
        import torchvision  # type: ignore[import-not-found, unused-ignore]

        made: nn.Module = getattr(torchvision.models, name)(weights=None)
        return made

    def timm_network(name: str) -> nn.Module:
        import timm  # type: ignore[import-not-found, unused-ignore]

        made: nn.Module = timm.create_model(name, pretrained=False)
        return made

    return {
        "torchvision": torch_cases(torchvision_network, TORCHVISION, folder, images, build),
        "timm": torch_cases(timm_network, TIMM, folder, images, build),
        "Keras": iter(()) if build else keras_cases(folder, images),
    }


if __name__ == "__main__":
    main()
