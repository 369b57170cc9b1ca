"""Damages stored results and input files at random. A build has to give the right bytes or a named error.

    python -m benchmarks.damage [--edits 200] [--seed 0] [--quantized]

A small network with its weights in two other files is built for the target `reference` from a folder of
pictures; with `--quantized`, a quantised network is brought besides it, its weights in a file too. Each edit
hits one file, of the store or of the input, and sets its time of modification back. Then the build runs
again: its bundle has to be the one that a build from nothing makes of the same input, or both have to end
with an error that is not a bug. Prints how many ended in which way; exit code 1 for wrong bytes.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from calibration.errors import CalibrationError
from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.errors import PipelineError
from pipeline.progress import Silent
from targets.errors import TargetError

SIDE = 8
CLASSES = ("ash", "oak")
QUANTISED = "quantised.onnx"
NAMED = (PipelineError, TargetError, CalibrationError)


def make_input(folder: Path) -> None:
    """Write net.onnx with two files of weights, net.toml, labels, and a folder of pictures."""
    random = np.random.default_rng(0)
    shapes = {"w": (8, 1, 3, 3), "v": (8, 8, 3, 3), "d": (2, 8)}
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Conv", ["b", "v"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["e"]),
            helper.make_node("GlobalAveragePool", ["e"], ["f"]),
            helper.make_node("Flatten", ["f"], ["g"]),
            helper.make_node("Gemm", ["g", "d"], ["y"], transB=1),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    for tensor in model.graph.initializer:
        place = Path("deep/more.bin" if tensor.name == "v" else "net.data")
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        with (folder / place).open("ab") as file:
            fields = {"location": str(place), "offset": str(file.tell()), "length": str(len(tensor.raw_data))}
            file.write(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in fields.items():
            tensor.external_data.add(key=key, value=value)
    onnx.save(model, folder / "net.onnx")
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    (folder / "net.toml").write_text('fit = "stretch"\nlabels = "labels.txt"\n')
    for split, count in (("train", 8), ("test", 4)):
        for name in CLASSES:
            place = folder / "data" / split / name
            place.mkdir(parents=True)
            for number in range(count):
                picture = random.integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
                cv2.imwrite(str(place / f"{number}.png"), picture)


def bring_quantised(folder: Path, scratch: Path) -> None:
    """Quantise the network of `folder`, and write quantised.onnx and its weights beside it."""
    made = onnx.load(_build(folder, scratch, quantised=False).int8_model.path)
    place = folder / QUANTISED
    onnx.save(made, place, save_as_external_data=True, location="quantised.data", size_threshold=0)


def outcome(folder: Path, out: Path, quantised: bool = False) -> bytes | str:
    """Return the bytes of the bundle, or the kind of the error that the user is told."""
    try:
        return _build(folder, out, quantised).bundle.path.read_bytes()
    except NAMED as error:
        return type(error).__name__


def _build(folder: Path, out: Path, quantised: bool) -> Build:
    options: dict[str, object] = {
        "model": str(folder / "net.onnx"),
        "data": folder / "data",
        "target": "reference",
        "out": out,
        "calibration.images": 8,
    }
    if quantised:
        options["calibration.quantized"] = folder / QUANTISED
    return Build(load_config(BuildConfig, None, options), Silent())


def edit(path: Path, others: list[Path], random: np.random.Generator) -> str:
    """Change one file in one way, its time of modification set back, and return what was done."""
    before, content = path.stat(), bytearray(path.read_bytes())
    what = str(random.choice(["flip", "cut", "empty", "remove", "replace", "append", "swap"]))
    if what == "remove":
        path.unlink()
        return what
    if what == "flip" and content:
        content[random.integers(len(content))] ^= 1 << int(random.integers(8))
    elif what == "cut":
        content = content[: int(random.integers(len(content) + 1))]
    elif what == "empty":
        content.clear()
    elif what == "append":
        content += b"\0"
    elif what == "replace":
        content = bytearray(random.bytes(len(content)))
    elif what == "swap":
        content = bytearray(others[int(random.integers(len(others)))].read_bytes())
    with path.open("r+b") as file:  # in place: the same inode
        file.write(content)
        file.truncate()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return what


def trials(work: Path, edits: int, seed: int, quantised: bool = False) -> Iterator[tuple[str, str]]:
    """Yield, for each edit, what it was and how the build after it ended.

    quantised: a quantised network is brought besides the float one.
    """
    random = np.random.default_rng(seed)
    original, folder, out = work / "original", work / "input", work / "out"
    original.mkdir()
    make_input(original)
    if quantised:
        bring_quantised(original, work / "scratch")
    shutil.copytree(original, folder)
    first = outcome(folder, out, quantised)
    if isinstance(first, str):
        raise RuntimeError(f"the build before any edit ended with {first}")
    for number in range(edits):
        of_store = number % 2 == 0
        place = out / "store" / "products" if of_store else folder
        files = sorted(path for path in place.rglob("*") if path.is_file())
        chosen = files[int(random.integers(len(files)))]
        kind = f"{'stored' if of_store else 'input'} {chosen.suffix or chosen.name}"
        done = f"{edit(chosen, files, random)} {kind}"
        found = outcome(folder, out, quantised)
        expected = first if of_store else outcome(folder, work / f"fresh{number}", quantised)
        yield done, _judged(found, expected)
        if not of_store:
            shutil.rmtree(work / f"fresh{number}", ignore_errors=True)
            shutil.rmtree(folder)
            shutil.copytree(original, folder)


def _judged(found: bytes | str, expected: bytes | str) -> str:
    if isinstance(found, str):
        return found if found == expected else f"WRONG: {found}"
    return "right bytes" if found == expected else "WRONG BYTES"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quantized", action="store_true", help="bring a quantised network as well")
    chosen = parser.parse_args()
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="edgec-damage-") as work:
        for done, end in trials(Path(work), chosen.edits, chosen.seed, chosen.quantized):
            ends[end] += 1
            if end.startswith("WRONG"):
                print(f"{done}: {end}")
    for end, count in ends.most_common():
        print(f"{count:5d}  {end}")
    sys.exit(any(end.startswith("WRONG") for end in ends))


if __name__ == "__main__":
    main()
