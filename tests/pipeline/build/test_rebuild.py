"""A bundle built again from its settings has the same bytes, or the difference is named."""

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from pipeline.build.rebuild import rebuild
from pipeline.bundle.contents import opened
from pipeline.bundle.pack import pack
from pipeline.cache.own_code import code_digest
from pipeline.data.embedded import EMBEDDED
from pipeline.errors import BundleError
from pipeline.progress import Silent
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import NotMeasured
from pipeline.report.model.measured_latency import Latency
from pipeline.stages.bundle import SETTINGS, Bundle
from pipeline.stages.supply_chain import PROVENANCE, SBOM, stated_code
from targets.runtime.bundle.manifest import NAME
from tests.conftest import Edgec

BUNDLE = "resnet20-fashion-reference.edgec"


@pytest.fixture(scope="module")
def out(quick_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a build that no other test builds into."""
    return shutil.copytree(quick_build, tmp_path_factory.mktemp("rebuild") / "out")


def test_a_second_build_from_nothing_has_the_same_bytes(edgec: Edgec, out: Path, tmp_path: Path) -> None:
    """In another process, another folder and at another time."""
    done = edgec("verify", out / BUNDLE, "--rebuild", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rebuilt"] == {"same_bytes": True, "different": [], "reasons": []}


def test_a_signed_bundle_differs_in_nothing_but_the_signature(
    edgec: Edgec, out: Path, tmp_path: Path
) -> None:
    signed = tmp_path / "signed.edgec"
    shutil.copy(out / BUNDLE, signed)
    assert edgec("keygen", tmp_path / "release.key").returncode == 0
    assert edgec("sign", signed, "--key", tmp_path / "release.key").returncode == 0
    done = edgec("verify", signed, "--rebuild", "--key", tmp_path / "release.pub")
    assert done.returncode == 0, done.stderr
    assert "the same bytes in every file, without the signature" in " ".join(done.stdout.split())


def test_latency_stands_beside_the_bundle_not_in_it(out: Path) -> None:
    beside = Report.load(out / "resnet20-fashion-reference" / "report.json")
    with opened(out / BUNDLE) as bundle:
        inside = Report.parse(bundle.read("report.json"), BUNDLE)
    assert isinstance(beside.latency_int8, Latency)
    assert isinstance(inside.latency_int8, NotMeasured)
    assert isinstance(inside.memory_fp32, NotMeasured)
    assert beside.end_to_end is not None
    assert beside.end_to_end.decode is None  # Fashion-MNIST is stored as pixels
    assert beside.end_to_end.whole.runs == beside.end_to_end.fit.runs > 0
    assert inside.end_to_end is None
    assert (inside.accuracy, inside.subject) == (beside.accuracy, beside.subject)


def test_a_changed_file_is_named(edgec: Edgec, out: Path, tmp_path: Path) -> None:
    data = shutil.copytree(EMBEDDED, tmp_path / "data")
    images = data / "calibration-images-idx3-ubyte.gz"
    raw = bytearray(gzip.decompress(images.read_bytes()))
    raw[16:] = bytes(255 - value for value in raw[16:])
    images.write_bytes(gzip.compress(bytes(raw)))
    done = edgec("verify", out / BUNDLE, "--rebuild", "--data", data)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "different bytes in engine/model.int8.onnx, " in said
    assert "calibration images not the same" in said
    assert "evaluation images" not in said


@pytest.mark.parametrize("settings", [b"{", b"[]"])
def test_settings_that_cannot_be_read_are_refused(
    edgec: Edgec, out: Path, tmp_path: Path, settings: bytes
) -> None:
    bundle = with_file(out / BUNDLE, tmp_path, SETTINGS, settings)
    done = edgec("verify", bundle, "--rebuild")
    assert (done.returncode, "build.json" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


DATA = "predicate.buildDefinition.resolvedDependencies[0].digest.sha256"


@pytest.mark.parametrize(
    ("document", "old", "new", "place"),
    [
        (PROVENANCE, "calibration_digest", "0" * 64, DATA),
        (PROVENANCE, "checkpoint_digest", "0" * 64, DATA.replace("0", "1")),
        (PROVENANCE, "recipe", "w8a8_sym", "externalParameters.calibration.recipe"),
        (PROVENANCE, "edgec", "9.9.9", "buildDefinition.internalParameters.tools.edgec"),
        (SBOM, "evaluation_digest", "0" * 64, "components[2].hashes[0].content"),
        (SBOM, "recipe", "w8a8_sym", "metadata.component.properties[1].value"),
        (SBOM, "onnx", "1.0.0", "version"),
        (SBOM, "engine_digest", "0" * 64, "hashes[0].content"),
    ],
)
def test_a_statement_of_another_origin_is_refused(
    out: Path, tmp_path: Path, document: str, old: str, new: str, place: str
) -> None:
    """Whoever has the key can sign such a bundle: its manifest agrees with every file."""
    with opened(out / BUNDLE) as held:
        report, text = Report.parse(held.read("report.json"), BUNDLE), held.read(document).decode()
    was = report.tools[old] if old in report.tools else getattr(report.subject, old)
    assert f'"{was}"' in text
    changed = with_file(out / BUNDLE, tmp_path, document, text.replace(f'"{was}"', f'"{new}"').encode())
    with pytest.raises(BundleError, match=f"{document} states .*") as refused:
        rebuild(changed, {}, Silent())
    assert place in str(refused.value)
    assert f'"{new}"' in str(refused.value)


def test_changed_code_is_named(out: Path, tmp_path: Path) -> None:
    """Of a bundle that another edgec built: its statement has the digest of other sources."""
    with opened(out / BUNDLE) as held:
        text = held.read(PROVENANCE).decode()
    code = stated_code(text.encode())
    assert code == code_digest(Bundle.sources())
    changed = with_file(out / BUNDLE, tmp_path, PROVENANCE, text.replace(code, "0" * 64).encode())
    found = rebuild(changed, {}, Silent())
    assert (found.different, found.reasons) == ((PROVENANCE,), ("edgec's own code not the same",))


def test_a_statement_about_other_files_is_refused(out: Path, tmp_path: Path) -> None:
    changed = with_file(out / BUNDLE, tmp_path, "run", b"print('not built by anybody')")
    with pytest.raises(BundleError, match=f"{PROVENANCE} is about another run than the one in the bundle"):
        rebuild(changed, {}, Silent())


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"[" * 90_000, b"\xff"])
@pytest.mark.parametrize("document", [PROVENANCE, SBOM])
def test_a_statement_that_cannot_be_read_is_refused(
    out: Path, tmp_path: Path, document: str, text: bytes
) -> None:
    with pytest.raises(BundleError, match=document):
        rebuild(with_file(out / BUNDLE, tmp_path, document, text), {}, Silent())


def with_file(bundle: Path, folder: Path, name: str, content: bytes) -> Path:
    """Return a copy of a bundle with other content in a file, and a manifest that agrees."""
    with opened(bundle) as held:
        manifest, files = held.manifest, held.contents() | {name: content}
    manifest.files[name] = hashlib.sha256(content).hexdigest()
    files[NAME] = manifest.to_json().encode()
    pack(files, folder / "changed.edgec", top="x")
    return folder / "changed.edgec"
