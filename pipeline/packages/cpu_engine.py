"""What packages for CPUs share: the engine, libedgec and the service of a bundle."""

import re

from pipeline.errors import UsageError
from targets.base import EngineKind
from targets.registry import kind_of_engine
from targets.runtime.bundle.archive import OpenBundle
from targets.runtime.bundle.manifest import NAME
from targets.runtime.compiled_service import SERVICE

SERVE = f"bin/{SERVICE}"
_ELF_MACHINES = {62: "x86_64", 183: "aarch64"}
"""e_machine at byte 18 of an ELF file: EM_X86_64 and EM_AARCH64 of the System V ABI."""


def require_cpu(bundle: OpenBundle, kind: str) -> None:
    """Raise UsageError, with the `kind` of package, for a bundle without libedgec."""
    manifest = bundle.manifest
    if kind_of_engine(manifest.runner) is not EngineKind.PROCESSOR_CODE:
        raise UsageError(
            f"A package for {kind} is made of a bundle for a CPU; this one is for {manifest.target}. "
            "Build one with --target host or one of the ARM boards."
        )
    if SERVE not in manifest.files:
        raise UsageError(f"This bundle holds no {SERVE}: an older edgec built it. Build it again.")


def engine_files(bundle: OpenBundle) -> dict[str, bytes]:
    """Return what libedgec opens: the manifest, and the engine that it names."""
    engine = bundle.manifest.engine
    return {NAME: bundle.read(NAME), engine: bundle.read(engine)}


def machine(bundle: OpenBundle) -> str:
    """Return "x86_64" or "aarch64", as the service's program says."""
    return _ELF_MACHINES[int.from_bytes(bundle.read(SERVE)[18:20], "little")]


def package_name(bundle: OpenBundle) -> str:
    """Return the model's name in letters that Debian and registries allow."""
    return re.sub(r"[^a-z0-9.]+", "-", bundle.manifest.model.lower()).strip("-.") or "network"
