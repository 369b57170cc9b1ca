"""How often an engine and the same Q/DQ graph in onnxruntime give the same class, on every evaluation image.

python -m benchmarks.agreement out/resnet20-fashion-host                     # the folder of a finished build
python -m benchmarks.agreement out/resnet20-cifar10-host --data cifar10      # of one with images of its own
"""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pipeline.data.open import open_dataset
from pipeline.models.zoo import find_model
from pipeline.report.model.build_report import Report
from targets.runtime.native_runner import open_engine

LEVELS = {
    "onnxruntime, none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "onnxruntime, all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def main() -> None:
    """Print the share of images with the same top-1 class, for the engine and both forms of the graph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build", type=Path, help="folder of a build for a CPU")
    parser.add_argument("--data", help="the images it was evaluated on; the model's own if left out")
    options = parser.parse_args()
    report = Report.model_validate_json((options.build / "report.json").read_text())
    model = find_model(report.subject.model)
    split = open_dataset(options.data or str(model.data)).split("evaluation")
    sessions = {name: _session(options.build / "model.int8.onnx", level) for name, level in LEVELS.items()}
    classes: dict[str, list[NDArray[np.int64]]] = {name: [] for name in ("engine", *sessions)}
    with open_engine(options.build / "model.engine") as engine:
        for batch in split.batches(model.preprocessing, 200):
            classes["engine"].append(engine.infer(batch.images).argmax(1))
            for name, session in sessions.items():
                (logits,) = session.run(None, {session.get_inputs()[0].name: batch.images})
                classes[name].append(logits.argmax(1))
    found = {name: np.concatenate(parts) for name, parts in classes.items()}
    print(f"{report.subject.model}, {report.subject.recipe}: same class, {len(found['engine'])} images")
    for one, other in (("engine", "onnxruntime, none"), ("engine", "onnxruntime, all"), tuple(sessions)):
        print(f"{one} against {other}: {100 * np.mean(found[one] == found[other]):.2f} %")


def _session(path: Path, level: ort.GraphOptimizationLevel) -> ort.InferenceSession:
    settings = ort.SessionOptions()
    settings.graph_optimization_level = level
    return ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
