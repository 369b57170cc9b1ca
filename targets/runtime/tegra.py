"""Tells whether this is a Jetson, by its chip and its release. Needs Python alone."""

from __future__ import annotations

import re
from pathlib import Path

from .system_files import output_of, text_of

RELEASE = re.compile(r"R(\d+) \(release\), REVISION: ([\d.]+)")


def chip(root: Path = Path("/")) -> str:
    """Return the chip, such as tegra234, which a container sees too; empty where there is none.

    The device tree says "nvidia,p3737-0000+p3701-0005", "nvidia,tegra234".
    """
    found = re.search(r"nvidia,(tegra\w+)", text_of(root / "proc/device-tree/compatible"))
    return found.group(1) if found else ""


def l4t(root: Path = Path("/")) -> str:
    """Return the version of Linux for Tegra, such as 36.4.3; empty where it is not installed.

    /etc/nv_tegra_release is missing in most containers; there the version of its package counts.
    """
    release = RELEASE.search(text_of(root / "etc/nv_tegra_release"))
    return "{}.{}".format(*release.groups()) if release else _core_version()


def is_jetson(root: Path = Path("/")) -> bool:
    """Return whether this is a Jetson of any module."""
    return bool(chip(root) or l4t(root))


def _core_version() -> str:
    text = output_of(["dpkg-query", "-W", "-f", "${Version}", "nvidia-l4t-core"])
    found = re.match(r"\d+(\.\d+)+", text.strip())
    return found.group() if found else ""
