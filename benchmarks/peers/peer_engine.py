"""The engines that are compared, at which versions, and what holds them to an instruction set."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from targets.processor import LIMIT

HERE = Path(__file__).parent


@dataclass(frozen=True)
class PeerEngine:
    """An engine, the environment it lives in, and what is installed there."""

    name: str
    environment: str
    packages: tuple[str, ...]
    threads: int | None = None
    """Always this many, and not those of the table."""
    limit: str | None = None
    """The environment variable that holds it to an instruction set, if there is one."""

    def python(self, folder: Path) -> Path:
        """The interpreter of its environment, which is made at the first use."""
        if not self.packages:
            return Path(sys.executable)
        home = folder / self.environment
        if not (home / "ready").exists():
            print(f"installing {' '.join(self.packages)}", flush=True)
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
            subprocess.run([home / "bin/pip", "install", "-q", *self.packages], check=True)
            (home / "ready").touch()
        return home / "bin/python"

    @property
    def script(self) -> Path:
        """What runs there."""
        return HERE / f"run_{self.name.partition(',')[0]}.py"


_ONNX = ("onnxruntime==1.32.0", "openvino==2026.4.1", "onnx==1.23.0", "sympy==1.14.0", "numpy==2.4.6")
_MOBILE = (
    "torch==2.13.0",
    "pnnx==20261020",
    "ncnn==1.0.20261020",
    "mnn==3.6.1",
    "pillow==13.0.0",
    "numpy==2.4.6",
)
PEERS = (
    PeerEngine("edgec", "edgec", (), limit=LIMIT),
    PeerEngine("onnxruntime", "onnx", _ONNX),
    PeerEngine("openvino", "onnx", _ONNX, limit="ONEDNN_MAX_CPU_ISA"),
    PeerEngine("litert", "litert", ("torch==2.13.0", "litert-torch==0.10.0", "ai-edge-litert==2.3.0")),
    PeerEngine("executorch", "executorch", ("torch==2.13.0", "executorch==1.5.1", "torchao==0.18.0")),
    PeerEngine("ncnn", "mobile", _MOBILE),
    PeerEngine("mnn", "mobile", _MOBILE),
)
ONE_THREAD = PeerEngine("edgec, 1 thread", "edgec", (), threads=1, limit=LIMIT)
LIMITS = {"avx2": "AVX2"}
"""What OpenVINO calls instruction sets that engines can be held to."""


def held(peer: PeerEngine, isa: str | None) -> dict[str, str]:
    """The environment variable that holds a peer to an instruction set."""
    if isa is None or peer.limit is None:
        return {}
    return {peer.limit: isa if peer.limit == LIMIT else LIMITS[isa]}
