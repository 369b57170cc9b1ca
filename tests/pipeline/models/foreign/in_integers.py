"""Whether an adopted network is computed in integers, and as in float."""

from pathlib import Path

import onnx

from benchmarks.random_network import RandomNetwork, pictures, quantize_for, sqnr_db
from targets.reference import ReferenceTarget
from targets.registry import find_target
from targets.tvm import oracle
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import Island

SHAPE = (16, 16, 3)


def check_integers(adopted: onnx.ModelProto, folder: Path) -> None:
    """Quantise a network of pictures of SHAPE, and compare the oracle with it on eight."""
    onnx.save(adopted, folder / "model.onnx")
    shown = pictures(8, SHAPE, seed=1)
    subject = RandomNetwork("net", folder / "model.onnx", shown, pictures(32, SHAPE, seed=2))
    made = import_graph(quantize_for(subject, find_target("host").recipe.name, folder))
    with ReferenceTarget().open(subject.model) as runner:
        expected = runner.infer(shown)
    assert not any(isinstance(one, Island) for one in made.operators)
    assert (sqnr_db(oracle.run(made, shown), expected) or 0) > 35
