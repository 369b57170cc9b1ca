"""The engine file: a stand-alone program, and the library and constants that Python uses too.

    static program | shared library | constants | golden images and logits | metadata (JSON) | footer

The program is first, so the file can be executed on the device; it finds the rest through the footer.
`edgec_footer` in runtime/native/engine.h is the other description of the footer.
"""

import json
import struct
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.runtime.preprocess import Preprocessing
from targets.tvm import glue, link, oracle
from targets.tvm.integer_graph import IntegerGraph
from targets.tvm.isa import Isa
from targets.tvm.lower import lower
from targets.tvm.machine_code import compile_object
from targets.tvm.program import Program

MAGIC = b"EDGEC\0\0\2"
FOOTER = struct.Struct("<9Q8s")
_ALIGNMENT = 64


@dataclass(frozen=True)
class EngineLayer:
    """One step of the engine, for reports."""

    node: str
    macs: int
    int8: bool


@dataclass(frozen=True)
class Metadata:
    """The metadata in an engine file."""

    isa: str
    image: tuple[int, int, int]
    classes: int
    arena_bytes: int
    constants_bytes: int
    macs: int
    layers: tuple[EngineLayer, ...]
    tvm: str
    preprocessing: dict[str, Any]


def write_engine(graph: IntegerGraph, isa: Isa, output: Path, fitting: Preprocessing | None = None) -> None:
    """Compile `graph` and write the engine file, executable. Raises EngineError.

    `fitting` is the program's preprocessing of pictures; None is the usual crop.
    """
    write_program(graph, lower(graph, isa), output, _golden(graph), _GOLDEN_IMAGES, fitting)


def write_program(
    graph: IntegerGraph,
    program: Program,
    output: Path,
    golden: bytes,
    golden_images: int,
    fitting: Preprocessing | None = None,
) -> None:
    """Compile a lowered graph and write the engine file. Raises EngineError.

    golden: `golden_images` images, each with the logits that it has to give.
    """
    fitting = fitting or Preprocessing(*program.image)
    with tempfile.TemporaryDirectory(prefix="edgec-tvm-") as scratch:
        library, executable = _link(program, fitting, Path(scratch))
    metadata = json.dumps(asdict(_metadata(graph, program, fitting))).encode()
    parts = [executable, library, program.constants, golden, metadata]
    offsets, content = [], b""
    for part in parts:
        content += bytes(-len(content) % _ALIGNMENT)
        offsets.append(len(content))
        content += part
    numbers = (
        *(len(executable), offsets[1], len(library), offsets[2], len(program.constants)),
        *(offsets[3], golden_images, offsets[4], len(metadata)),
    )
    output.write_bytes(content + FOOTER.pack(*numbers, MAGIC))
    output.chmod(0o755)


def _link(program: Program, fitting: Preprocessing, scratch: Path) -> tuple[bytes, bytes]:
    names = glue.kernel_names(program)
    objects, table, pictures = [scratch / "kernels.o"], scratch / "table.c", scratch / "pictures.c"
    compile_object([kernel.function(name) for kernel, name in names.items()], program.isa, objects[0])
    if program.floats:
        from targets.tvm.floats.float_code import compile_floats

        objects.append(scratch / "floats.o")
        compile_floats(program.floats, program.isa, objects[1])
    table.write_text(glue.source(program))
    pictures.write_text(glue.fitting_source(fitting))
    link.link_library(objects, table, program.isa, scratch / "library")
    link.link_program(objects, [table, pictures], program.isa, scratch / "program")
    return (scratch / "library").read_bytes(), (scratch / "program").read_bytes()


_GOLDEN_IMAGES = 3


def _golden(graph: IntegerGraph) -> bytes:
    """Return images and their logits, as computed by the oracle and not by the engine."""
    images = _golden_images(graph)
    pairs = zip(images, oracle.run(graph, images), strict=True)
    return b"".join(image.tobytes() + logits.tobytes() for image, logits in pairs)


def _golden_images(graph: IntegerGraph) -> NDArray[np.uint8]:
    """Return images of noise, a gradient, and alternating extremes: all grey levels and hard edges."""
    shape = (graph.image.height, graph.image.width, graph.image.channels)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    y, x, c = np.indices(shape)
    gradient = (x * 3 + y * 5 + c * 31).astype(np.uint8)
    return np.stack([noise, gradient, np.where((x + y) // 4 % 2, 255, 0).astype(np.uint8)])


def _metadata(graph: IntegerGraph, program: Program, fitting: Preprocessing) -> Metadata:
    return Metadata(
        program.isa.name,
        program.image,
        program.classes,
        program.arena,
        len(program.constants),
        graph.macs,
        tuple(EngineLayer(step.node, step.macs, step.int8) for step in program.steps),
        version("apache-tvm"),
        fitting.as_dict(),
    )
