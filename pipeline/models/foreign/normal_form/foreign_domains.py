"""Operators of other domains than ONNX's own: which program wrote them, and how it writes standard ones.

The names are those of the programs' sources: qonnx, AIMET, NNCF (OpenVINO), ModelOpt (TensorRT) and
onnxruntime. Each can write QuantizeLinear and DequantizeLinear instead, or kept the float network.
"""

from pathlib import Path
from typing import NamedTuple

import onnx

from pipeline.errors import CheckpointError

OF_ONNXRUNTIME = ("com.microsoft", "com.ms.")
"""Domains whose operators onnxruntime writes when it optimises a model."""


class _Writer(NamedTuple):
    """A program with operators of its own: its domains' prefixes, the file's format, and what to do."""

    domains: tuple[str, ...]
    form: str
    advice: str


WRITERS = (
    _Writer(
        ("qonnx.", "finn.", "onnx.brevitas"),
        "QONNX, as Brevitas, QKeras and FINN write it",
        "Export with brevitas.export.export_onnx_qcdq, or convert the file with the command qonnx-convert of"
        " the package qonnx.",
    ),
    _Writer(
        ("aimet.",),
        "a simulation of quantisation by AIMET",
        "Save what sim.to_onnx_qdq() returns, or give edgec the float network.",
    ),
    _Writer(
        ("org.openvinotoolkit",),
        "of OpenVINO's NNCF",
        'Export with "export_to_onnx_standard_ops": true in the quantisation section of its configuration, or'
        " give edgec the float network.",
    ),
    _Writer(
        ("trt",),
        "for TensorRT's own plug-ins or FP8, as ModelOpt writes it",
        "Quantise to INT8, which is written in standard operators, or give edgec the float network.",
    ),
)
OF_WEIGHTS = frozenset({"MatMulNBits", "MatMulBnb4", "MatMulFpQ4", "GatherBlockQuantized"})
"""Operators of onnxruntime's that keep weights in fewer than 8 bits and compute in float."""


def refuse_other_domains(model: onnx.ModelProto, path: Path) -> None:
    """Raise CheckpointError for operators of other domains, saying what wrote them and what to do."""
    foreign: dict[str, set[str]] = {}
    for node in model.graph.node:
        if node.domain:
            foreign.setdefault(node.domain, set()).add(node.op_type)
    if not foreign:
        return
    told = "; ".join(f"{domain} ({', '.join(sorted(names)[:3])})" for domain, names in foreign.items())
    names = set().union(*foreign.values())
    for writer in WRITERS:
        if any(domain.startswith(writer.domains) for domain in foreign):
            raise CheckpointError(f"{path} has operators of {told}: it is {writer.form}. {writer.advice}")
    if names & OF_WEIGHTS:
        raise CheckpointError(
            f"{path} has operators of {told}: weights of fewer than 8 bits, activations in float. Give edgec"
            " the network before its weights were quantised."
        )
    if all(domain.startswith(OF_ONNXRUNTIME) for domain in foreign):
        raise CheckpointError(
            f"{path} has operators of {told}. Take the model before onnxruntime optimised it, or export with"
            " standard operators only."
        )
    raise CheckpointError(f"{path} has operators of {told}. Export with standard operators only.")
