"""An unpacked bundle with ONNX files that only the double can read."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from targets.runtime.bundle.manifest import NAME, Manifest
from tests.targets.tensorrt.device_double import CLASSES, SHAPE, logits_of
from tests.targets.tensorrt.on_device import pictures


def write_bundle(folder: Path, graphs: Mapping[str, bytes] | None = None) -> Path:
    """Write it, and return its folder."""
    (folder / "engine").mkdir()
    for name in ("int8_qdq.onnx", "int8_qdq_fp16.onnx", "int8_half.onnx", "fp16.onnx"):
        (folder / "engine" / name).write_bytes(graphs[name] if graphs else name.encode())
    images = pictures(16)
    logits = logits_of(images)
    np.savez(folder / "evaluation.npz", images=images, labels=logits.argmax(axis=1), int8=logits)
    files = [path for path in folder.rglob("*") if path.is_file()]
    manifest = Manifest(
        model="made-up",
        target="jetson",
        fingerprint="",
        engine="engine/int8_qdq.onnx",
        runner="tensorrt.runner",
        classes=tuple(map(str, range(CLASSES))),
        preprocessing={"height": SHAPE[0], "width": SHAPE[1], "channels": SHAPE[2], "fit": "pad"},
        files={
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        },
        state="not built on device",
    )
    (folder / NAME).write_text(manifest.to_json())
    return folder
