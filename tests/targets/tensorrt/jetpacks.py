"""What Jetsons say about themselves, in the words of their own files and programs.

The lines of nv_tegra_release and the models are as owners of such devices published them; none was recorded
by us. The programs answer in the form that theirs have.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recording:
    """The files and programs that are asked, by JetPack."""

    release: str
    model: str
    memory_kb: int
    jetpack: str
    power_mode: str

    def write(self, root: Path) -> None:
        """Lay the files below `root`, and the programs into `root`/bin."""
        texts = {
            "etc/nv_tegra_release": self.release + "\n",
            "proc/device-tree/model": self.model + "\0",
            "proc/meminfo": f"MemTotal:       {self.memory_kb} kB\nMemFree:          123456 kB\n",
            "bin/dpkg-query": f"#!/bin/sh\nprintf '%s' '{self.jetpack}'\n",
            "bin/nvpmodel": f"#!/bin/sh\nprintf '{self.power_mode}'\n",
            "bin/sudo": '#!/bin/sh\nshift\nexec "$@"\n',
            "bin/jetson_clocks": f'#!/bin/sh\n[ "$1" = --store ] && : >"$2"\necho "$@" >>{root}/clocks.log\n',
        }
        for name, text in texts.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)


RECORDINGS = {
    "5.1": Recording(
        release="# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, "
        "DATE: Tue Aug  1 19:57:35 UTC 2023",
        model="Jetson-AGX",
        memory_kb=31003060,
        jetpack="5.1.2-b104",
        power_mode="NV Power Mode: MODE_30W_ALL\\n3\\n",
    ),
    "6.0": Recording(
        release="# R36 (release), REVISION: 3.0",
        model="NVIDIA Jetson AGX Orin Developer Kit",
        memory_kb=31435780,
        jetpack="6.0+b106",
        power_mode="NV Power Mode: MAXN\\n0\\n",
    ),
    "6.2": Recording(
        release="# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, "
        "DATE: Wed Jan  8 01:49:37 UTC 2025",
        model="NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        memory_kb=7802572,
        jetpack="6.2+b77",
        power_mode="NV Power Mode: MAXN_SUPER\\n2\\n",
    ),
    "7.0": Recording(
        release="# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, EABI: aarch64, "
        "DATE: Fri Aug 22 00:55:42 UTC 2025",
        model="NVIDIA Jetson AGX Thor Developer Kit",
        memory_kb=128788784,
        jetpack="7.0-b128",
        power_mode="NV Power Mode: MAXN\\n0\\n",
    ),
    "7.1": Recording(
        release="# R38 (release), REVISION: 4.0, GCID: 43443517, BOARD: generic, EABI: aarch64, "
        "DATE: Wed Dec 31 00:15:19 UTC 2025",
        model="NVIDIA Jetson AGX Thor Developer Kit",
        memory_kb=128790100,
        jetpack="7.1-b100",
        power_mode="NV Power Mode: MAXN\\n0\\n",
    ),
    "7.2": Recording(
        release="# R39 (release), REVISION: 2.0, GCID: 45755727, BOARD: generic, EABI: aarch64, "
        "DATE: Mon Jun  1 09:28:48 PM UTC 2026",
        model="NVIDIA Jetson AGX Orin Developer Kit",
        memory_kb=62841000,
        jetpack="7.2-b100",
        power_mode="NV Power Mode: MAXN\\n0\\n",
    ),
}
