"""Instructions that one inference executes on ARM: our engine against five others, in qemu.

    python -m benchmarks.arm_instructions [--models resnet20 resnet18] [--cpus cortex-a72 cortex-a76 max]
        [--peers litert onnxruntime executorch ncnn mnn]

Needs qemu-aarch64 and apt (Debian 12). The peers' aarch64 wheels and a Python for them are unpacked below
out/peers/arm and run by the emulator on the networks that benchmarks.cpu_peers has built. Counted is the
difference between runs of two lengths, of the inference call alone; the numbers are exact, and no latency. A
peer has to give the float network's class. If it does not (LiteRT on a processor with SME in this emulator),
or crashes, its entry is in brackets and does not count as the fastest.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.peers.network import CASES
from benchmarks.peers.peer_build import build
from benchmarks.peers.peer_engine import PEERS
from targets.errors import EngineError
from targets.reach.instructions import build_plugin, count_executed, instructions_per_inference
from targets.runtime.zig import run_zig
from targets.tvm.cpu_target import compile_engine
from targets.tvm.isa import ISAS

DEBS = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1"),
    *("libstdc++6", "zlib1g", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5", "libssl3", "libuuid1"),
    "libstdc++-12-dev",
)
WHEELS = (
    *("numpy==2.4.6", "onnxruntime==1.32.0", "ai-edge-litert==2.3.0", "ncnn==1.0.20261020", "mnn==3.6.1"),
    "executorch==1.5.1",
)
ARM_PEERS = ("litert", "onnxruntime", "executorch", "ncnn", "mnn")
_PLATFORMS = (
    *("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64"),
    "manylinux2014_aarch64",
)
EXECUTORCH_RUNNER = "run_executorch"
LIBRARIES = "usr/lib/aarch64-linux-gnu"
_RUNS = (2, 12)  # the first inference prepares things; a Python starts with a few thousand more or less


@dataclass(frozen=True)
class Processor:
    """A processor that qemu emulates, the engine for it, and its description in /proc/cpuinfo."""

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
    print("unpacking an aarch64 Python and the engines", flush=True)
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
    build_executorch_runner(home)
    (home / "ready").touch()


def build_executorch_runner(home: Path) -> None:
    """Compile the program that runs ExecuTorch's networks, with the headers and libraries of its wheel."""
    root, wheel = home.absolute() / "root", home.absolute() / "site/executorch"
    headers = [root / "usr/include/c++/12", root / "usr/include/aarch64-linux-gnu/c++/12", wheel / "include"]
    headers.append(wheel / "include/executorch/runtime/core/portable_type/c10")
    names = ("", "_kernels_optimized", "_backend_xnnpack", "_threadpool")
    libraries = [wheel / f"lib/libexecutorch{name}.so" for name in names]
    libraries += [root / LIBRARIES / "libstdc++.so.6", root / "lib/aarch64-linux-gnu/libgcc_s.so.1"]
    source = Path(__file__).parent / "peers/run_executorch_on_arm.cc"
    options = ["-target", "aarch64-linux-gnu.2.34", "-std=c++20", "-O2", *(f"-I{one}" for one in headers)]
    options += ["-DC10_USING_CUSTOM_GENERATED_MACROS", "-Wl,--allow-shlib-undefined", "-Wl,--no-as-needed"]
    done = run_zig(options, [source, *libraries], home / EXECUTORCH_RUNNER)
    if done.returncode:
        raise RuntimeError(f"compiling {source.name} failed:\n{done.stderr[-2000:]}")


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
    root, site = home.absolute() / "root", home.absolute() / "site"
    libraries = f"{root / LIBRARIES}:{site / 'executorch/lib'}"
    options = [f"LD_LIBRARY_PATH={libraries}", f"PYTHONPATH={site}", "PYTHONDONTWRITEBYTECODE=1"]
    command = ["-L", str(root), *(word for option in options for word in ("-E", option))]
    if peer == "executorch":
        side = str(CASES[case.name].side)
        command += [str(home / EXECUTORCH_RUNNER), str(case / "network.pte"), str(case / "inputs.npy"), side]
    else:
        script = Path(__file__).parent / "peers/run_on_arm.py"
        command += [str(root / "usr/bin/python3.11"), str(script), peer, str(case.absolute())]
    counts, said = [], b""
    for runs in _RUNS:
        count, said = count_executed(cpu.emulated, plugin, [*command, str(runs)])
        counts.append(count)
    found = re.search(rb"class (\d+)", said)
    if not found:
        raise RuntimeError(f"{peer} said nothing in the emulator")
    return round((counts[1] - counts[0]) / (_RUNS[1] - _RUNS[0])), int(found[1])


def counted(peer: str, case: Path, home: Path, cpu: Processor, plugin: Path) -> tuple[int | None, str]:
    """Count a peer's inference; returns None, and why, where it cannot be compared."""
    expected = int(np.load(case / "logits.npy")[0].argmax())
    try:
        count, label = peer_instructions(peer, case, home, cpu, plugin)
    except EngineError as error:
        said = [line for line in str(error).splitlines() if line.strip()]
        reason = [line for line in said if not line.startswith("instructions")]
        return None, f"(failed: {reason[-1][-60:]})"
    if label != expected:
        return None, f"({count / 1e6:.2f} M, class {label} is wrong)"
    return count, f"{count / 1e6:.2f} M"


def row(case: Path, peers: Sequence[str], home: Path, cpu: Processor, plugin: Path) -> str:
    """Count all engines on one network and processor."""
    engine = case / f"{cpu.isa}.engine"
    compile_engine(case / "model.int8.onnx", ISAS[cpu.isa], engine)
    ours = instructions_per_inference(engine, cpu.emulated, np.load(case / "pixels.npy"))
    pretend(home, cpu)
    found = {peer: counted(peer, case, home, cpu, plugin) for peer in peers}
    counts = [count for count, _ in found.values() if count]
    ratio = ours / min(counts) if counts else float("nan")
    cells = "   ".join(f"{peer} {cell}" for peer, (_, cell) in found.items())
    return f"{case.name:<12} {cpu.emulated:<12} {ours / 1e6:>9.3f} M {ratio:>7.3f}   {cells}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["resnet20", "resnet18"], choices=list(CASES))
    parser.add_argument("--cpus", nargs="+", default=list(CPUS), choices=list(CPUS))
    parser.add_argument("--peers", nargs="+", default=list(ARM_PEERS), choices=ARM_PEERS)
    parser.add_argument("--folder", type=Path, default=Path("out/peers"))
    options = parser.parse_args(arguments)
    home = options.folder / "arm"
    install(home)
    peers = [peer for peer in PEERS if peer.name in options.peers]
    version = subprocess.run(["qemu-aarch64", "--version"], capture_output=True, text=True, check=True).stdout
    print(f"{date.today()}, instructions of an inference, one thread, {version.splitlines()[0]}")
    print(f"{'network':<12} {'-cpu':<12} {'edgec':>11} {'x best':>7}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        plugin = Path(scratch) / "count.so"
        build_plugin(plugin)
        for name in options.models:
            built = build(CASES[name], peers, options.folder)
            able = [peer.name for peer in built.peers]
            for cpu in options.cpus:
                print(row(built.place, able, home, CPUS[cpu], plugin), flush=True)


if __name__ == "__main__":
    main()
