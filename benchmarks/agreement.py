"""Counts how often an engine and its Q/DQ graph in onnxruntime give the same class, on all evaluation images.

python -m benchmarks.agreement out/resnet20-fashion-host                     # the folder of a finished build
python -m benchmarks.agreement out/resnet20-cifar10-host --data cifar10      # of one with images of its own
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.open import open_dataset
from pipeline.models.zoo import find_model
from pipeline.report.model.build_report import Report
from targets.processor import cpu_name
from targets.runtime.exact.session import ALL_CORES, AS_WRITTEN, LADDER, exact_settings, open_session
from targets.runtime.native_runner import open_engine

DEFAULT = LADDER[0]
"""onnxruntime's own settings, which saturate on x86 without VNNI."""


def main() -> None:
    """Print the share of images with the same top-1 class, for the engine and the graph run in three ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build", type=Path, help="folder of a build for a CPU")
    parser.add_argument("--data", help="the images it was evaluated on; the model's own if left out")
    options = parser.parse_args()
    report = Report.model_validate_json((options.build / "report.json").read_text())
    model = find_model(report.subject.model)
    split = open_dataset(options.data or str(model.data)).split("evaluation")
    ways = {"as written": AS_WRITTEN, "exact": exact_settings(ALL_CORES), "default": DEFAULT}
    path = options.build / "model.int8.onnx"
    sessions = {f"onnxruntime, {name}": open_session(path, ALL_CORES, way) for name, way in ways.items()}
    classes: dict[str, list[NDArray[np.int64]]] = {name: [] for name in ("engine", *sessions)}
    with open_engine(options.build / "model.engine") as engine:
        for batch in split.batches(model.preprocessing, 200):
            classes["engine"].append(engine.infer(batch.images).argmax(1))
            for name, session in sessions.items():
                (logits,) = session.run(None, {session.get_inputs()[0].name: batch.images})
                classes[name].append(logits.argmax(1))
    found = {name: np.concatenate(parts) for name, parts in classes.items()}
    print(f"{report.subject.model}, {report.subject.recipe}: same class, {len(found['engine'])} images")
    print(f"{cpu_name()}; exact settings here: {ways['exact'].words}")
    for other in sessions:
        print(f"engine against {other}: {100 * np.mean(found['engine'] == found[other]):.2f} %")


if __name__ == "__main__":
    main()
