"""Everything a device needs, in one archive with the sha256 of every file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.bundle.pack import BUILDER, PROGRAM, pack
from pipeline.bundle.signing import release_now, sign_manifest
from pipeline.cache.code_at_start import ROOT
from pipeline.cache.digest import InputFile
from pipeline.cache.own_code import code_digest
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.stages.artifacts import Artifact
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.report_files import ReportFiles
from pipeline.stages.sample import Samples
from pipeline.stages.supply_chain import PROVENANCE, SBOM, provenance, sbom
from targets.base import BuildState, EngineKind
from targets.runtime import compiled_resize
from targets.runtime.bundle import signature
from targets.runtime.bundle.manifest import EVALUATION, NAME, Manifest
from targets.runtime.c_library import MACHINES
from targets.runtime.compiled_libedgec import embedding
from targets.runtime.compiled_service import COMPILED_SERVICE, SERVICE
from targets.runtime.native_runner import machine_of
from targets.runtime.preprocess import Preprocessing

RUNTIME = ROOT / "targets" / "runtime"
SHIPPED = (".py", ".html", ".css", ".js")
SETTINGS = "build.json"


@dataclass(frozen=True)
class PackedBundle(Artifact):
    """What `Bundle` wrote: one archive, named after the model and the target."""

    @property
    def path(self) -> Path:
        """The archive."""
        return self.only_file


@dataclass(frozen=True)
class Bundle(Stage):
    """Write <model>-<target>.edgec: a gzipped tar whose bytes depend only on the contents.

    One that is signed has the moment as its release as well, so that devices take no older one afterwards.
    """

    name: ClassVar[str] = "bundle"
    code: ClassVar[tuple[str, ...]] = ("targets/runtime", "pipeline/build/plan.py")
    """Includes the code that builds, because the provenance statement has its digest."""
    tools: ClassVar[tuple[str, ...]] = ("ziglang",)

    model: str
    engine: CompiledEngine
    runner: str
    engine_kind: EngineKind
    state: BuildState
    shipped: tuple[str, ...]
    report: ReportFiles
    samples: Samples
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    settings: str
    """JSON of the settings of the build, for building it again."""
    signing_key: InputFile | None = None

    @property
    def top(self) -> str:
        """The folder that the archive unpacks to."""
        return f"{self.model}-{self.engine.target_name}"

    @property
    def file_name(self) -> str:
        """The archive's name."""
        return f"{self.top}.edgec"

    def run(self, output: Path, progress: Progress) -> None:
        """Collect, digest and pack."""
        with progress.task("bundle", None):
            files = self._files()
            files |= self._supply_chain(files)
            manifest = Manifest(
                model=self.model,
                target=self.engine.target_name,
                fingerprint=self.engine.fingerprint,
                engine=f"engine/{self.engine.file_name}",
                runner=self.runner,
                state=BuildState.BUILT if self.state is BuildState.BUILT else BuildState.NOT_BUILT,
                classes=self.classes,
                preprocessing=self.preprocessing.as_dict(),
                pixels=self._pixels(),
                files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
                release=release_now() if self.signing_key else 0,
            )
            files[NAME] = manifest.to_json().encode()
            if self.signing_key:
                files[signature.NAME] = sign_manifest(files[NAME], self.signing_key.path)
            pack(files, output / self.file_name, top=self.top)

    def _supply_chain(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the SBOM and the provenance statement, which other tools read."""
        report = self.report.load()
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        engine = f"engine/{self.engine.file_name}"
        return {
            SBOM: sbom(report, engine, digests.get(engine, report.subject.engine_digest)),
            PROVENANCE: provenance(report, self.settings, digests, code_digest(self.sources())),
        }

    def _pixels(self) -> tuple[int, int] | None:
        shape = self.samples.logits_shape()
        return (shape[2], shape[3]) if len(shape) == 4 else None

    def _programs(self) -> dict[str, bytes]:
        programs = {PROGRAM: (RUNTIME / "run.py").read_bytes()}
        if self.state is not BuildState.BUILT:
            programs[BUILDER] = (RUNTIME / BUILDER).read_bytes()
        return programs

    def _files(self) -> dict[str, bytes]:
        return {
            **{f"engine/{name}": self.engine.file(name).read_bytes() for name in self.shipped},
            **self._programs(),
            EVALUATION: self.samples.path.read_bytes(),
            "labels.txt": "".join(f"{name}\n" for name in self.classes).encode(),
            "preprocessing.json": (json.dumps(self.preprocessing.as_dict(), indent=1) + "\n").encode(),
            SETTINGS: self.settings.encode(),
            ReportFiles.file_name: self.report.path.read_bytes(),
            ReportFiles.page: self.report.html.read_bytes(),
            **{
                f"runtime/{path.relative_to(RUNTIME).as_posix()}": path.read_bytes()
                for path in sorted(RUNTIME.rglob("*"))
                if path.suffix in SHIPPED
            },
            **_resize_libraries(),
            **self._embedding(),
        }

    def _embedding(self) -> dict[str, bytes]:
        """Return libedgec and the service for the engine's machine, if libedgec runs the engine."""
        if self.engine_kind is not EngineKind.PROCESSOR_CODE:
            return {}
        machine = machine_of(self.engine.path)
        program = (COMPILED_SERVICE.folder(machine) / SERVICE).read_bytes()
        return {**embedding(machine), f"bin/{SERVICE}": program}


def _resize_libraries() -> dict[str, bytes]:
    """Return the compiled resize for each kind of machine that a bundle may be unpacked on."""
    compiled = ((compiled_resize.file_name(machine), machine) for machine in MACHINES)
    return {
        f"runtime/{name}": (compiled_resize.COMPILED.folder(machine) / name).read_bytes()
        for name, machine in compiled
    }
