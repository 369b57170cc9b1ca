"""Chooses the device, and bf16 where the hardware computes with it."""

import torch

from pipeline.errors import UsageError
from targets.processor import cpu_flags

COMPUTE_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""The kernel's names of what multiplies bf16: AVX512-BF16, AMX, and ARM's extension."""


def find_device(wanted: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda". Raises UsageError if it does not exist."""
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UsageError('torch finds no CUDA device on this machine. Set device = "cpu" or "auto".')
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes with bf16 itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(COMPUTE_BF16 & cpu_flags())
