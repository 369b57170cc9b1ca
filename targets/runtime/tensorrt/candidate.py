"""The forms of a network that compete on a device: one ONNX file and one way to build it each."""

from __future__ import annotations

from dataclasses import dataclass

from .engine import FP16, INT8

INT8_ONNX = "int8_qdq.onnx"
"""Opset 17, FP32 outside Q/DQ: for TensorRT 8 and weakly typed builds."""
INT8_FP16_ONNX = "int8_qdq_fp16.onnx"
"""FP16 outside the quantised layers: for the strongly typed networks of TensorRT 10 and 11."""
HALF_ONNX = "int8_half.onnx"
"""Opset 19, FP16 behind the first Q, scales included, so no casts between layers: TensorRT 10 and 11."""
FP8_ONNX = "fp8.onnx"
"""FP8 (E4M3) in place of INT8, else FP16, in opset 19: for GPUs that multiply it, with TensorRT 10 and 11."""
FP16_ONNX = "fp16.onnx"
"""The float network in FP16, which INT8 competes with."""
MIXED_ONNX = "mixed.onnx"
"""Written on the device: INT8 but for the layers that were measured to be slower in it."""
DLA_ONNX = "dla.onnx"
"""Written on the device: INT8 by ranges instead of Q/DQ, which a DLA does not take."""
HALF, QDQ, MIXED, FP8, DLA = "int8_half", "int8_qdq", "mixed", "fp8", "dla"
LAST_WITH_FLAGS = 10
"""TensorRT's last major version in which a network can also be built weakly typed, by flags."""


@dataclass(frozen=True)
class Candidate:
    """A form of the network; its engine's files are called after `name`."""

    name: str
    onnx: str
    int8: bool
    strongly_typed: bool
    """Whether the graph decides all types; else TensorRT chooses among those that flags allow."""
    on_dla: bool = False
    """Whether a deep learning accelerator computes what it can, and the GPU the rest."""

    @property
    def is_required(self) -> bool:
        """Whether nothing goes on without it: the INT8 that is validated, and FP16 to compare with."""
        return self.name in (INT8, FP16)

    def __str__(self) -> str:
        if self.on_dla:
            return f"{self.onnx}, DLA with the GPU for other layers"
        types = "types of the graph" if self.strongly_typed else "types chosen by TensorRT"
        return f"{self.onnx}, {types}"


def is_strongly_typed(version: str) -> bool:
    """Whether networks are built strongly typed: an option in TensorRT 10, the only way in 11.

    TensorRT-RTX, which counts its versions from 1, has no other way either.
    """
    return _major(version) not in (8, 9)


def candidates(version: str) -> tuple[Candidate, ...]:
    """Return the candidates of a TensorRT, but for the mixed one, whose file is made from them."""
    strong = is_strongly_typed(version)
    float_one = Candidate(FP16, FP16_ONNX, False, strong)
    if not strong:
        return (Candidate(INT8, INT8_ONNX, True, False), float_one)
    return (
        Candidate(INT8, INT8_FP16_ONNX, True, True),
        Candidate(HALF, HALF_ONNX, True, True),
        Candidate(QDQ, INT8_ONNX, True, _major(version) != LAST_WITH_FLAGS),
        float_one,
    )


def fp8_candidate(version: str) -> Candidate | None:
    """Return the one in FP8, which bundles for some modules have; None for a TensorRT without it."""
    return Candidate(FP8, FP8_ONNX, False, True) if is_strongly_typed(version) else None


def dla_candidate(version: str) -> Candidate | None:
    """Return the one for a DLA; None for TensorRT 11, which has no ranges for it."""
    knows = _major(version) <= LAST_WITH_FLAGS
    return Candidate(DLA, DLA_ONNX, True, False, on_dla=True) if knows else None


def mixed_candidate(version: str) -> Candidate:
    """Return the one whose slow INT8 layers were made float."""
    return Candidate(MIXED, MIXED_ONNX, True, is_strongly_typed(version))


def base_of_mixed(version: str) -> Candidate:
    """Return the candidate whose layers are compared with FP16's: float layers need no casts there."""
    wanted = HALF if is_strongly_typed(version) else INT8
    return next(one for one in candidates(version) if one.name == wanted)


def candidate_named(name: str, version: str) -> Candidate:
    """Return a candidate by its name."""
    known = (*candidates(version), mixed_candidate(version), fp8_candidate(version), dla_candidate(version))
    return next(one for one in known if one is not None and one.name == name)


def _major(version: str) -> int:
    return int(version.split(".", maxsplit=1)[0])
