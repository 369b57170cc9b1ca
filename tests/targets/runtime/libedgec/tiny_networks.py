"""Small networks, and bundles of them, for programs that embed one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

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
