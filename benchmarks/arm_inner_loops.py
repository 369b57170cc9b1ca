"""The utilisation of an A76 by the inner loops of our ARM kernels, by llvm-mca.

    python -m benchmarks.arm_inner_loops [--models resnet20 resnet18 resnet50] [--channels 64]

Needs llvm-mca (apt install llvm); networks are those of benchmarks.cpu_peers. For every convolution with so
many channels and more: its tile, and the `sdot` instructions a cycle of its inner loop relative to the two
that an A76 can do. A classifier is shown, but multiplies each weight once: it waits for memory, and is not in
the summary.
"""

import argparse
from pathlib import Path

from benchmarks.peers.network import CASES
from benchmarks.peers.peer_build import build
from targets.tvm.importer import import_graph
from targets.tvm.isa import ISAS
from targets.tvm.tuning.assembly import dots_a_cycle, inner_loops
from targets.tvm.tuning.search import convolutions

PEAK = 2


def main() -> None:
    """Look at each convolution once, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=Path("out/peers"))
    options = parser.parse_args()
    isa = ISAS["dotprod"]
    for model in options.models:
        shares = []
        graph = import_graph(build(CASES[model], (), options.folder).place / "model.int8.onnx")
        for one in convolutions(graph, isa):
            shape, tile = one.shape, one.kernel.tile
            if shape.channels < options.channels:
                continue
            rate = dots_a_cycle(inner_loops(one.kernel), one.kernel)
            if rate is None:
                raise SystemExit("llvm-mca is not installed: apt install llvm")
            if shape.height * shape.width > 1:
                shares.append(rate / PEAK)
            blocks = f"{tile.rows}x{tile.columns} x {tile.vectors}"
            print(f"{model:<9} {shape.name:<26} {blocks} {rate / PEAK:>8.2%}")
        print(f"{model}: {len(shares)} convolutions, the lowest {min(shares):.2%}\n", flush=True)


if __name__ == "__main__":
    main()
