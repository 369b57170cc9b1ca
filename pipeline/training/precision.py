"""Chooses the device, and bf16 where the hardware computes with it."""

import torch

from pipeline.errors import UsageError
from pipeline.training.processes import Processes
from targets.processor import cpu_flags

ALONE = Processes()

COMPUTE_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""The kernel's names of the extensions that multiply bf16: AVX512-BF16, AMX, and ARM's."""


def find_device(wanted: str, processes: Processes = ALONE) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda". Raises UsageError if it does not exist.

    Each process on a machine has a GPU of its own.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UsageError('torch finds no CUDA device on this machine. Set device = "cpu" or "auto".')
    if not there or wanted == "cpu":
        return torch.device("cpu")
    if processes.count == 1:
        return torch.device("cuda")
    if processes.local_rank >= torch.cuda.device_count():
        raise UsageError(
            f"Process {processes.local_rank + 1} of this machine has no GPU of its own; there are"
            f" {torch.cuda.device_count()}. Start fewer processes, each with more parts, or set"
            ' device = "cpu".'
        )
    return torch.device("cuda", processes.local_rank)


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes with bf16 itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(COMPUTE_BF16 & cpu_flags())
