"""Why CUDA finds no GPU: what this user may not open, and what its owner can do about it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Sequence

from .ownership import user_name

NODES = (
    "dev/nvidiactl",
    "dev/nvidia0",
    "dev/nvmap",
    "dev/nvhost-gpu",
    "dev/nvgpu/igpu0/*",
    "dev/dri/renderD*",
)
"""Device files that CUDA opens: a PC's, and a Jetson's with JetPack 5 to 7 (nvmap, nvhost, nvgpu, DRM)."""


def closed_nodes(root: Path = Path("/"), patterns: Sequence[str] = NODES) -> list[Path]:
    """Return the device files that exist and that this user may not read and write."""
    found = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    return [path for path in found if not os.access(str(path), os.R_OK | os.W_OK)]


def explanation(root: Path = Path("/"), patterns: Sequence[str] = NODES) -> str:
    """Return a sentence with what helps; empty where nothing hinders this user."""
    closed = closed_nodes(root, patterns)
    if not closed:
        return ""
    groups = sorted({_group(path) for path in closed})
    user = user_name()
    named = ", ".join(str(path) for path in closed[:3])
    if groups == ["root"]:
        return f"{user} may not open {named}, which belong to root alone: run this with sudo"
    command = f"sudo usermod --append --groups {','.join(groups)} {user}"
    return f"{user} may not open {named}: {command}, then log in again"


def _group(path: Path) -> str:
    try:
        return path.group()
    except KeyError:
        return str(path.stat().st_gid)
