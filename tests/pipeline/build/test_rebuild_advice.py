"""What is advised where a bundle's statements contradict its report."""

import hashlib
import shutil
from pathlib import Path

from pipeline.build.stated_origin import check_origin
from pipeline.bundle.contents import opened
from pipeline.bundle.pack import pack
from pipeline.errors import BundleError
from pipeline.report.model.build_report import Report
from pipeline.stages.bundle import SETTINGS
from pipeline.stages.supply_chain import SBOM
from targets.runtime.bundle.manifest import NAME
from tests.pipeline.advice.followed import check_advice


def test_the_bundle_from_its_builder_helps(quick_build: Path, tmp_path: Path) -> None:
    made, got = quick_build / "resnet20-fashion-reference.edgec", tmp_path / "model.edgec"
    with opened(made) as held:
        manifest, files, top = held.manifest, held.contents(), held.top
    recipe = Report.parse(files["report.json"], made.name).subject.recipe
    files[SBOM] = files[SBOM].replace(f'"{recipe}"'.encode(), b'"w8a8_sym"')
    manifest.files[SBOM] = hashlib.sha256(files[SBOM]).hexdigest()
    pack(files | {NAME: manifest.to_json().encode()}, got, top)

    def attempt() -> None:
        with opened(got) as held:
            report = Report.parse(held.read("report.json"), got.name)
            check_origin(held, got, report, held.read(SETTINGS).decode())

    words = f'files follows "{recipe}". Get the bundle again from its builder.'
    check_advice(words, attempt, lambda: shutil.copy(made, got), BundleError)
