"""The origin of a bundle's bytes, in formats that other tools read; the same bytes for the same build.

An SBOM: CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/, with its part for machine learning. A provenance
statement: in-toto Statement v1 with SLSA Provenance v1, https://slsa.dev/spec/v1.0/provenance.
"""

import json
import re
import uuid
from collections.abc import Mapping

from pipeline.reading.json_text import bounded_json
from pipeline.report.model.build_report import Report
from pipeline.report.model.image_accuracy import Accuracy

SBOM = "sbom.cdx.json"
PROVENANCE = "provenance.intoto.json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
CODE = "edgec-sources"
"""The statement's name for edgec's sources: `code_digest` of all files that a build imports."""
BUILD_TYPE = "urn:edgec:build:v1"
NOT_PACKAGES = {"python", "edgec"}
"""Tools that are not packages of an index. All others have a package URL."""


def sbom(report: Report, engine: str, engine_digest: str) -> bytes:
    """Return the SBOM of a bundle: the model with its card, the data it was made with, and the tools."""
    subject = report.subject
    name = f"{subject.model}-{subject.target}"
    found = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'edgec:{name}:{engine_digest}')}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "machine-learning-model",
                "bom-ref": "model",
                "name": name,
                "hashes": _sha256(engine_digest),
                "modelCard": _model_card(report),
                "properties": [
                    {"name": "edgec:engine", "value": engine},
                    {"name": "edgec:recipe", "value": subject.recipe},
                    {"name": "edgec:target", "value": subject.target},
                    {"name": "edgec:verdict", "value": str(report.verdict)},
                ],
            }
        },
        "components": [
            *(_data(ref, digest) for ref, digest in sorted(_materials(report).items())),
            *(_tool(tool, version) for tool, version in sorted(report.tools.items())),
        ],
        "dependencies": [
            {"ref": "model", "dependsOn": sorted([*_materials(report), *map(_reference, report.tools)])}
        ],
    }
    return _bytes(found)


def provenance(report: Report, settings: str, digests: Mapping[str, str], code: str | None) -> bytes:
    """Return the statement that the files with these sha256 digests were built from the report's inputs.

    `code` is the digest of edgec's sources, None in bundles of before.
    """
    materials = _materials(report) | ({CODE: code} if code else {})
    found = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": one}} for name, one in sorted(digests.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": json.loads(settings),
                "internalParameters": {"tools": dict(sorted(report.tools.items()))},
                "resolvedDependencies": [
                    {"name": name, "digest": {"sha256": digest}} for name, digest in sorted(materials.items())
                ],
            },
            "runDetails": {
                "builder": {
                    "id": "urn:edgec:builder",
                    "version": {"edgec": report.tools.get("edgec", "unknown")},
                }
            },
        },
    }
    return _bytes(found)


def stated_digests(statement: bytes) -> dict[str, str]:
    """Return the files that a provenance statement is about, with their digests. Raises ValueError."""
    try:
        found = bounded_json(statement)
        if (found["_type"], found["predicateType"]) != (STATEMENT, PREDICATE):
            raise ValueError(f"it is {found['_type']!r} of {found['predicateType']!r}")
        return {one["name"]: one["digest"]["sha256"] for one in found["subject"]}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it lacks {error}") from error


def stated_code(statement: bytes) -> str | None:
    """Return the digest of edgec's sources that a provenance statement names. Raises ValueError."""
    try:
        used = bounded_json(statement)["predicate"]["buildDefinition"]["resolvedDependencies"]
        found = [one["digest"]["sha256"] for one in used if one["name"] == CODE]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it lacks {error}") from error
    if not all(isinstance(one, str) and re.fullmatch("[0-9a-f]{64}", one) for one in found) or len(found) > 1:
        raise ValueError(f"it states {found} as the digest of {CODE}")
    return found[0] if found else None


def _materials(report: Report) -> dict[str, str]:
    """Return the digests of what the build read and wrote on its way."""
    subject = report.subject
    return {
        "checkpoint": subject.checkpoint_digest,
        "calibration-images": subject.calibration_digest,
        "evaluation-images": subject.evaluation_digest,
        "float-onnx": subject.model_digest,
        "int8-onnx": subject.int8_model_digest,
    }


def _model_card(report: Report) -> dict[str, object]:
    subject, found = report.subject, report.accuracy
    classified = isinstance(found, Accuracy)
    metrics = [{"type": "images evaluated", "value": str(subject.evaluation_images)}]
    if isinstance(found, Accuracy):
        metrics += [
            {"type": "top-1 accuracy of INT8", "value": f"{found.top1.int8:.6f}"},
            {"type": "top-1 accuracy of FP32", "value": f"{found.top1.fp32:.6f}"},
        ]
    return {
        "modelParameters": {
            "task": "image classification" if classified else "image segmentation",
            "datasets": [{"ref": "calibration-images"}, {"ref": "evaluation-images"}],
            "inputs": [{"format": "image, uint8 RGB or gray"}],
            "outputs": [{"format": f"float32 logits of {len(subject.classes)} classes"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": metrics},
    }


def _data(name: str, digest: str) -> dict[str, object]:
    is_model = name.endswith("onnx") or name == "checkpoint"
    kind = "machine-learning-model" if is_model else "data"
    return {"type": kind, "bom-ref": name, "name": name, "hashes": _sha256(digest)}


def _tool(name: str, version: str) -> dict[str, object]:
    found: dict[str, object] = {
        "type": "library",
        "bom-ref": _reference(name),
        "name": name,
        "version": version,
    }
    public = version.partition("+")[0]
    return found if name in NOT_PACKAGES else {**found, "purl": f"pkg:pypi/{name}@{public}"}


def _reference(tool: str) -> str:
    return f"tool:{tool}"


def _sha256(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]


def _bytes(found: object) -> bytes:
    return (json.dumps(found, indent=1, sort_keys=True) + "\n").encode()
