"""Instructions that one inference executes on ARM: our engine against onnxruntime and LiteRT, in qemu.

    python -m benchmarks.arm_instructions [--models resnet20 resnet18] [--cpus cortex-a72 cortex-a76 max]

Needs qemu-aarch64 and apt (Debian 12). The peers' aarch64 wheels and a Python for them are unpacked below
out/peers/arm and run by the emulator on the networks that benchmarks.cpu_peers has built. Counted is the
difference between runs of two lengths, of the inference call alone; the numbers are exact, and no latency.
LiteRT has to say the same class as the float network; where it does not, on a processor with SME in this
emulator, it is shown in brackets and does not count as the fastest.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.cpu_peers import PEERS, build
from benchmarks.peers.network import CASES
from targets.reach.instructions import build_plugin, count_executed, instructions_per_inference
from targets.tvm.cpu_target import compile_engine
from targets.tvm.isa import ISAS

DEBS = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1"),
    *("libstdc++6", "zlib1g", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5", "libssl3", "libuuid1"),
)
WHEELS = ("numpy==2.4.6", "onnxruntime==1.32.0", "ai-edge-litert==2.3.0")
_PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64")
LIBRARIES = "usr/lib/aarch64-linux-gnu"
_RUNS = (2, 22)  # the first inference prepares things; a Python starts with a few thousand more or less


@dataclass(frozen=True)
class Processor:
    """What qemu emulates, the engine for it, and what libraries that ask the kernel are told it is."""

    emulated: str
    isa: str
    part: str
    features: str

    @property
    def cpuinfo(self) -> str:
        """/proc/cpuinfo of one core: the host's own makes the peers crash."""
        return (
            f"processor\t: 0\nBogoMIPS\t: 100.00\nFeatures\t: {self.features}\nCPU implementer\t: 0x41\n"
            f"CPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: {self.part}\nCPU revision\t: 1\n\n"
        )


_V8 = "fp asimd evtstrm crc32 cpuid"
_V82 = f"{_V8} aes pmull sha1 sha2 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
CPUS = {
    cpu.emulated: cpu
    for cpu in (
        Processor("cortex-a72", "neon", "0xd08", _V8),
        Processor("cortex-a76", "dotprod", "0xd0b", _V82),
        Processor("max,sme=off", "i8mm", "0xd40", f"{_V82} i8mm bf16"),
        Processor("max", "i8mm", "0xd40", f"{_V82} i8mm bf16"),
    )
}


def install(home: Path) -> None:
    """Unpack an aarch64 Python and the peers' wheels into `home`, once. Nothing on this machine changes."""
    if (home / "ready").exists():
        return
    print("unpacking an aarch64 Python, onnxruntime and LiteRT", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    for folder in ("state/lists/partial", "cache/archives/partial", "debs", "wheels", "root", "site"):
        (home / folder).mkdir(parents=True)
    (home / "state/status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Dir::State": str(home.absolute() / "state"),
        "Dir::State::status": str(home.absolute() / "state/status"),
        "Dir::Cache": str(home.absolute() / "cache"),
    }
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in settings.items())]
    subprocess.run([*apt, "update"], check=True, capture_output=True)
    subprocess.run([*apt, "download", *DEBS], check=True, cwd=home / "debs", capture_output=True)
    for deb in (home / "debs").iterdir():
        subprocess.run(["dpkg-deb", "-x", deb, home / "root"], check=True)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    pip += ["--python-version", "3.11", *(f"--platform={name}" for name in _PLATFORMS)]
    subprocess.run([*pip, "-d", home / "wheels", *WHEELS], check=True)
    for wheel in (home / "wheels").iterdir():
        subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, home / "site"], check=True)
    (home / "ready").touch()


def pretend(home: Path, cpu: Processor) -> None:
    """Let programs in the emulator find the processor's description where they look for it."""
    root = home / "root"
    system = root / "sys/devices/system/cpu"
    for folder in (root / "proc", system):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "proc/cpuinfo").write_text(cpu.cpuinfo)
    for name in ("possible", "present", "online"):
        (system / name).write_text("0\n")


def peer_instructions(peer: str, case: Path, home: Path, cpu: Processor, plugin: Path) -> tuple[int, int]:
    """Return what one inference of a peer executes, and the class it says picture 0 belongs to."""
    root = home.absolute() / "root"
    environment = {"LD_LIBRARY_PATH": root / LIBRARIES, "PYTHONPATH": home.absolute() / "site"}
    options = [f"{key}={value}" for key, value in environment.items()] + ["PYTHONDONTWRITEBYTECODE=1"]
    script = Path(__file__).parent / "peers/run_on_arm.py"
    command = ["-L", str(root), *(word for option in options for word in ("-E", option))]
    command += [str(root / "usr/bin/python3.11"), str(script), peer, str(case.absolute())]
    counts, said = [], b""
    for runs in _RUNS:
        count, said = count_executed(cpu.emulated, plugin, [*command, str(runs)])
        counts.append(count)
    found = re.search(rb"class (\d+)", said)
    if not found:
        raise RuntimeError(f"{peer} said nothing in the emulator")
    return round((counts[1] - counts[0]) / (_RUNS[1] - _RUNS[0])), int(found[1])


def row(case: Path, home: Path, cpu: Processor, plugin: Path) -> str:
    """Count all engines on one network and processor."""
    engine = case / f"{cpu.isa}.engine"
    compile_engine(case / "model.int8.onnx", ISAS[cpu.isa], engine)
    ours = instructions_per_inference(engine, cpu.emulated, np.load(case / "pixels.npy"))
    pretend(home, cpu)
    expected = int(np.load(case / "logits.npy")[0].argmax())
    cells, fastest = [], 0
    for peer in ("litert", "onnxruntime"):
        count, label = peer_instructions(peer, case, home, cpu, plugin)
        right = label == expected
        cells.append(f"{count / 1e6:.2f} M" if right else f"({count / 1e6:.2f} M, class {label} is wrong)")
        fastest = min(fastest or count, count) if right else fastest
    ratio = ours / fastest if fastest else float("nan")
    return f"{case.name:<10} {cpu.emulated:<12} {ours / 1e6:>9.3f} M {ratio:>7.3f}   {'   '.join(cells)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["resnet20", "resnet18"], choices=list(CASES))
    parser.add_argument("--cpus", nargs="+", default=list(CPUS), choices=list(CPUS))
    parser.add_argument("--folder", type=Path, default=Path("out/peers"))
    options = parser.parse_args(arguments)
    home = options.folder / "arm"
    install(home)
    peers = [peer for peer in PEERS if peer.name in {"litert", "onnxruntime"}]
    version = subprocess.run(["qemu-aarch64", "--version"], capture_output=True, text=True, check=True).stdout
    print(f"instructions per inference, one thread, {version.splitlines()[0]}, host {os.uname().machine}")
    print(f"{'network':<10} {'-cpu':<12} {'edgec':>11} {'x best':>7}   litert   onnxruntime", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        plugin = Path(scratch) / "count.so"
        build_plugin(plugin)
        for name in options.models:
            case = build(CASES[name], peers, options.folder)
            for cpu in options.cpus:
                print(row(case, home, CPUS[cpu], plugin), flush=True)


if __name__ == "__main__":
    main()
