"""Converts camera frames by libedgec: are the pictures those of calibration, and how long does it take?

python -m benchmarks.camera_frames --frames 10000 --seed 1    # compared with NumPy
python -m benchmarks.camera_frames --times                     # 720p to 224 x 224
"""

import argparse
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np

from targets.runtime.embedded_frame import PIXELS
from targets.runtime.embedded_network import EmbeddedContext, EmbeddedNetwork
from targets.runtime.preprocess import FITS, Preprocessing
from targets.tvm.cpu_target import host_isa
from targets.tvm.engine_file import write_engine
from targets.tvm.importer import import_graph
from tests.targets.runtime.libedgec.camera_scenes import Scene, random_scene
from tests.targets.runtime.libedgec.tiny_networks import PackedNetwork, write_network
from tests.targets.tvm.qdq_model import QdqModel


def compare_pictures(folder: Path, count: int, rng: np.random.Generator) -> None:
    """Compare libedgec's pictures of random frames with NumPy's: sizes up to 300, some up to 1,500."""
    engines = {channels: write_network(folder, host_isa(), channels) for channels in (1, 3)}

    @cache
    def opened(fitting: Preprocessing) -> EmbeddedContext:
        bundle = PackedNetwork(engines[fitting.channels], fitting).unpacked(folder / f"{hash(fitting)}")
        return EmbeddedNetwork(bundle).context(max_size=(1500, 1500))

    different, kinds = 0, dict.fromkeys(PIXELS, 0)
    for n in range(count):
        kind = str(rng.choice(FITS))
        resize = int(rng.choice([0, 0, 24, 31])) if kind == "crop" else 0
        border = (7,) if kind in ("pad", "letterbox") else (0,)
        fitting = Preprocessing(24, 20, int(rng.choice([1, 3])), kind, resize, border)
        scene = random_scene(rng, 1500 if n % 50 == 0 else int(rng.choice([9, 90, 300])))
        frame = scene.frame(rng)
        kinds[scene.pixels] += 1
        found = opened(fitting).prepare(frame)
        different += int((found != fitting(scene.picture(frame))).sum())
    print(f"{count} frames ({', '.join(f'{k} {v}' for k, v in kinds.items())}): {different} bytes differ")


def time_conversions(folder: Path, runs: int) -> None:
    """Time frames of 720p until they are the input of a network for 224 x 224, on one thread."""
    m = QdqModel(224, 224, 3)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 16, 3, 8, strides=[8, 8], pads=[0, 0, 0, 0])), 0.5, 0)
    x = m.quantized(m.node("GlobalAveragePool", x), 4.0, 0)
    graph = import_graph(m.save(m.gemm(m.node("Flatten", x), 10, 16), folder / "224.onnx"))
    write_engine(graph, host_isa(), folder / "224.engine", Preprocessing(224, 224, 3))
    rng = np.random.default_rng(0)
    frames = {pixels: Scene(pixels, "BT601", True, 720, 1280).frame(rng) for pixels in PIXELS}
    times: dict[str, list[float]] = {pixels: [] for pixels in PIXELS}
    with EmbeddedNetwork(folder / "224.engine") as network, network.context() as context:
        for _ in range(runs):  # by turns: what else runs here meets all of them
            for pixels, frame in frames.items():
                start = time.perf_counter()
                context.prepare(frame)
                times[pixels].append(time.perf_counter() - start)
    for pixels, found in times.items():
        print(f"{pixels:5} best {min(found) * 1e3:.3f} ms, median {np.median(found) * 1e3:.3f} ms")


def main() -> None:
    """Compare, or time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", action="store_true")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="edgec-frames-") as scratch:
        if arguments.times:
            time_conversions(Path(scratch), 200)
        else:
            compare_pictures(Path(scratch), arguments.frames, rng)


if __name__ == "__main__":
    main()
