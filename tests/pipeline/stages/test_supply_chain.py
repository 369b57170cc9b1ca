"""A bundle says where it comes from, in the forms that the specifications define."""

import json
from importlib.resources import files

import jsonschema  # type: ignore[import-untyped]
import pytest
from cyclonedx import schema
from google.protobuf.json_format import ParseDict, ParseError  # type: ignore[import-untyped]
from referencing import Registry, Resource

from pipeline.report.model.build_report import Report
from pipeline.report.model_card import card_html, card_markdown
from pipeline.stages.supply_chain import CODE, provenance, sbom, stated_code, stated_digests
from tests.pipeline.report.samples import pixel_report, report

REPORTS = {"classes": report(), "pixels": pixel_report()}
DIGEST = "ab" * 32


def official(document: bytes) -> list[str]:
    """The errors of a document by CycloneDX's own schema."""
    folder = files(schema) / "_res"
    names = ("bom-1.6", "spdx", "jsf-0.82")
    bom, *others = (json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text()) for name in names)
    registry: Registry[object] = Registry().with_resources(
        (one["$id"], Resource.from_contents(one)) for one in (bom, *others)
    )
    checked = jsonschema.Draft7Validator(bom, registry=registry)
    return [error.message for error in checked.iter_errors(json.loads(document))]


@pytest.mark.parametrize("name", REPORTS)
def test_the_sbom_is_what_its_schema_says(name: str) -> None:
    made = sbom(REPORTS[name], "engine/model.engine", DIGEST)
    assert official(made) == []
    assert official(made.replace(b'"machine-learning-model"', b'"another"')) != []


@pytest.mark.parametrize("name", REPORTS)
def test_the_same_build_gives_the_same_bytes(name: str) -> None:
    found = REPORTS[name]
    again = Report.parse(found.to_json().encode(), "report.json")
    assert sbom(found, "e", DIGEST) == sbom(again, "e", DIGEST)
    assert provenance(found, "{}", {"e": DIGEST}, DIGEST) == provenance(again, "{}", {"e": DIGEST}, DIGEST)


def test_the_sbom_has_the_model_the_data_and_the_recipe() -> None:
    found = json.loads(sbom(report(), "engine/model.engine", DIGEST))
    model = found["metadata"]["component"]
    assert model["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]
    assert {"name": "edgec:recipe", "value": report().subject.recipe} in model["properties"]
    held = {one["bom-ref"]: one for one in found["components"]}
    assert held["calibration-images"]["hashes"][0]["content"] == report().subject.calibration_digest
    assert {one["ref"] for one in model["modelCard"]["modelParameters"]["datasets"]} <= held.keys()


def test_the_statement_has_the_fields_of_in_toto_and_slsa() -> None:
    made = provenance(report(), '{"model": "m"}', {"engine": DIGEST}, "cd" * 32)
    found = json.loads(made)
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://slsa.dev/provenance/v1"
    assert found["subject"] == [{"name": "engine", "digest": {"sha256": DIGEST}}]
    predicate = found["predicate"]
    assert predicate.keys() == {"buildDefinition", "runDetails"}
    assert predicate["buildDefinition"]["externalParameters"] == {"model": "m"}
    assert {len(one["digest"]["sha256"]) for one in predicate["buildDefinition"]["resolvedDependencies"]} == {
        64
    }
    assert predicate["runDetails"]["builder"]["id"]
    assert stated_digests(made) == {"engine": DIGEST}
    assert stated_code(made) == "cd" * 32


@pytest.mark.parametrize("name", REPORTS)
def test_the_statement_is_what_the_official_messages_say(name: str) -> None:
    from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance  # type: ignore[import-untyped]
    from in_toto_attestation.v1.statement_pb2 import Statement  # type: ignore[import-untyped]

    made = json.loads(provenance(REPORTS[name], '{"model": "m"}', {"engine": DIGEST}, "cd" * 32))
    read = ParseDict(made, Statement())
    assert (read.type, [one.name for one in read.subject]) == (made["_type"], ["engine"])
    stated = ParseDict(made["predicate"], Provenance())
    assert stated.run_details.builder.id
    assert stated.build_definition.build_type
    with pytest.raises(ParseError, match="another"):
        ParseDict({**made["predicate"], "another": 1}, Provenance())


def test_a_bundle_of_before_states_no_code() -> None:
    assert stated_code(provenance(report(), "{}", {"e": DIGEST}, None)) is None


@pytest.mark.parametrize("code", ["", "cd" * 33, "no digest", 7, None])
def test_a_malformed_digest_of_code_is_refused(code: object) -> None:
    made = json.loads(provenance(report(), "{}", {"e": DIGEST}, "cd" * 32))
    used = made["predicate"]["buildDefinition"]["resolvedDependencies"]
    next(one for one in used if one["name"] == CODE)["digest"]["sha256"] = code
    with pytest.raises(ValueError, match=CODE):
        stated_code(json.dumps(made).encode())


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"_type": 1, "predicateType": 2}', b"[" * 90_000])
def test_a_malformed_statement_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"it|Expecting|recursion"):
        stated_digests(text)


@pytest.mark.parametrize("name", REPORTS)
def test_a_model_card_has_the_report_and_runs_nothing(name: str) -> None:
    found = REPORTS[name]
    evil = "<script>alert(1)</script>"
    subject = found.subject.model_copy(update={"dataset": evil})
    for made in (card_html, card_markdown):
        text = made(found.model_copy(update={"subject": subject}))
        assert evil not in text
        assert found.subject.engine_digest in text
        assert "Intended use" in text
