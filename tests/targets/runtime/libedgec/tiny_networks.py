"""Small networks, and bundles of them, for programs that embed one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.bundle.pack import pack
from targets.runtime.bundle.manifest import NAME, Manifest
from targets.runtime.preprocess import Preprocessing
from targets.tvm.engine_file import write_engine
from targets.tvm.importer import import_graph
from targets.tvm.isa import Isa
from tests.targets.tvm.qdq_model import QdqModel

CLASSES = ("ankle boot", 'a "bag"\\', "Überzieher", "猫", "😀", "t/shirt", "é\u0301")
CROP = Preprocessing(24, 20, 3)


def write_network(folder: Path, isa: Isa, channels: int = 3) -> Path:
    """Compile a network with weights that depend on the channels alone; returns its engine."""
    m = QdqModel(24, 20, channels)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 16, channels)), 0.5, 0)
    y = m.quantized(m.node("Relu", m.conv(x, 16, 16)), 2.0, 0)
    x = m.quantized(m.node("Relu", m.node("Add", m.conv(y, 16, 16), x)), 8.0, 0)
    x = m.quantized(m.node("GlobalAveragePool", x), 4.0, 0)
    model = m.save(m.gemm(m.node("Flatten", x), len(CLASSES), 16), folder / f"{channels}.onnx")
    engine = folder / f"{isa.name}-{channels}.engine"
    write_engine(import_graph(model), isa, engine, Preprocessing(24, 20, channels))
    return engine


def write_overflowing(folder: Path, isa: Isa) -> Path:
    """Compile a network whose logits are infinite unless a picture is dark; returns its engine."""
    m = QdqModel(24, 20, 3)

    def ones(rows: int, columns: int, scale: float, *kernel: int) -> str:
        values = np.ones((rows, columns, *kernel), np.int8), np.full(rows, scale, np.float32)
        parts = (m.constant(part) for part in (*values, np.zeros(rows, np.int8)))
        return m.node("DequantizeLinear", *parts, axis=0)

    none = m.constant(np.zeros(16, np.float32))
    light = m.node("Relu", m.node("Conv", m.image(), ones(16, 3, 0.01, 1, 1), none))
    x = m.quantized(m.node("GlobalAveragePool", m.quantized(light, 0.05, 0)), 0.05, 0)
    bias = m.constant(np.arange(len(CLASSES), dtype=np.float32))
    logits = m.node("Gemm", m.node("Flatten", x), ones(len(CLASSES), 16, 1e38), bias, transB=1)
    model = m.save(logits, folder / "overflowing.onnx")
    engine = folder / "overflowing.engine"
    write_engine(import_graph(model), isa, engine, CROP)
    return engine


@dataclass(frozen=True)
class PackedNetwork:
    """An engine with a manifest around it."""

    engine: Path
    fitting: Preprocessing = CROP
    changes: tuple[tuple[str, object], ...] = ()

    def files(self) -> dict[str, bytes]:
        """The files of the bundle."""
        engine = self.engine.read_bytes()
        manifest = Manifest(
            model="tiny",
            target="host",
            fingerprint="a test",
            engine="engine/model.engine",
            runner="native_runner",
            classes=CLASSES,
            preprocessing=self.fitting.as_dict(),
            files={"engine/model.engine": hashlib.sha256(engine).hexdigest()},
        )
        changed = Manifest(**{**vars(manifest), **dict(self.changes)})
        return {"engine/model.engine": engine, NAME: changed.to_json().encode()}

    def unpacked(self, folder: Path) -> Path:
        """Write the files below a folder."""
        for name, content in self.files().items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder

    def packed(self, archive: Path) -> Path:
        """Write the .edgec file."""
        pack(self.files(), archive, "tiny-host")
        return archive
