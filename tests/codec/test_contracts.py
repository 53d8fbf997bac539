"""`schemas/`, the public contract: every published version, readable by and from every other."""

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from hypothesis import given
from hypothesis import strategies as st

from processor.codec.contracts import TOPICS, latest, published
from processor.codec.framing import prefix_of, registry_prefix, schema_id_of, single_object_prefix
from processor.codec.resolve import Resolver
from processor.core.words import Purpose

SCHEMAS = Path(__file__).parents[2] / "schemas"
FILES = sorted(SCHEMAS.glob("*/*.avsc"))

PUBLISHED = {  # SHA-256 of each published version: a change needs a new version, never another digest
    "Control/v1.avsc": "cdee0a1df6800e7db8edd326e995a397cc6194fe47719034b56970fe12626a8d",
    "DeadLetter/v1.avsc": "814f32fbb66611ad0da608b0da8c0325cf87ddb238a400ccb38a46bccb1e469c",
    "DeliveryEvent/v1.avsc": "02db3523e2ef387aeb028dabd09a23ca407bce3612878da10dab1f76fc781dd1",
    "DeliveryEvent/v2.avsc": "0e4dbf7e480bb160449d0b5b38259c54ef7a3b0408f6b48b4af3bb7ebc01fabb",
    "DeliveryEvent/v3.avsc": "44e9641512794e4f7f1db4b1f7afd0a7b3bf44c03856cd81d3a495cb98dc538d",
    "EngagementEvent/v1.avsc": "7d983c125547fe61a21786c3a92ca3d963b032d61cc3a991898ee69908332d14",
    "EngagementEvent/v2.avsc": "53caf462f4f02b05309642fc6f41eed72976ca0afd7674964317f706339b605d",
    "OutboundMessage/v1.avsc": "23315a773e140837c6c5fb836005d151cac117da84ce619e90f27bae32ec82c5",
    "Receipt/v1.avsc": "19f7c12d3bd6a44bb3e60e0da957a3dee71bd787d16dc05a1e82f0af7647139c",
    "Receipt/v2.avsc": "050429acf14bcc2daf43339ecb2f8d5dee425491ebaea2b5f90974949907dca0",
    "RetryEvent/v1.avsc": "f1c2473807ea172cb8b8523abc1a7bdf6591bea5ac5c8dee439e25a3977ff287",
    "RetryEvent/v2.avsc": "44aba410af7079331e6fe663126cf345cc0b5f921ef300753e97779a0d845b2a",
}


def versions() -> list[Any]:
    return [
        pytest.param(one, other, id=f"{one.parent.name} {one.stem} {other.stem}")
        for one, other in itertools.product(FILES, FILES)
        if one.parent == other.parent
    ]


@pytest.mark.parametrize(("writer", "reader"), versions())
def test_every_version_reads_every_other(writer: Path, reader: Path) -> None:
    assert complaints(json.loads(writer.read_text()), json.loads(reader.read_text())) == set()


def complaints(writer: Any, reader: Any) -> set[str]:
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call] # avro has no types here
    result = checker.get_compatibility(
        reader=avro.schema.parse(json.dumps(reader)), writer=avro.schema.parse(json.dumps(writer))
    )
    return set() if result.compatibility is SchemaCompatibilityType.compatible else result.messages


def test_the_compatibility_check_sees_a_new_field_without_a_default() -> None:
    published_one = json.loads((SCHEMAS / "RetryEvent" / "v1.avsc").read_text())
    careless = {**published_one, "fields": [*published_one["fields"], {"name": "more", "type": "string"}]}
    assert complaints(published_one, careless)
    assert not complaints(careless, published_one)


def test_our_own_readers_read_every_version_of_every_contract() -> None:
    for listed in published().values():
        for writer, reader in itertools.product(listed, listed):
            Resolver({}).record(writer.record, reader.record)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name} {file.stem}")
def test_no_published_version_changes(file: Path) -> None:
    assert hashlib.sha256(file.read_bytes()).hexdigest() == PUBLISHED[f"{file.parent.name}/{file.name}"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name} {file.stem}")
def test_every_field_says_what_it_means(file: Path) -> None:
    assert undocumented(json.loads(file.read_text())) == []


def undocumented(part: Any) -> list[str]:
    match part:
        case {"name": name, **rest}:
            own = [] if len(str(rest.get("doc", ""))) > 10 else [str(name)]
            return own + [each for value in rest.values() for each in undocumented(value)]
        case dict():
            return [each for value in part.values() for each in undocumented(value)]
        case list():
            return [each for value in part for each in undocumented(value)]
        case _:
            return []


def test_every_folder_is_a_contract_with_all_its_versions() -> None:
    assert {file.parent.name for file in FILES} == set(TOPICS) == set(published())
    for name, listed in published().items():
        assert [each.version for each in listed] == list(range(1, len(listed) + 1))
        assert {each.full_name for each in listed} == {f"comm.{name}"}


def test_the_purposes_of_the_contract_are_those_of_the_core() -> None:
    fields = {each["name"]: each for each in json.loads(latest("OutboundMessage").text)["fields"]}
    assert fields["purpose"]["type"]["symbols"] == [each.value for each in Purpose]


def test_fingerprints_are_those_of_the_specification() -> None:
    """CRC-64-AVRO after the pseudocode of Avro 1.12 "Schema Fingerprints", of a canonical form written by hand."""
    canonical = (
        '{"name":"comm.RetryEvent","type":"record","fields":[{"name":"event_id","type":"string"},'
        '{"name":"message_id","type":"string"},{"name":"external_id","type":["null","string"]},'
        '{"name":"attempt","type":"int"},{"name":"charged","type":"int"},{"name":"occurred_at","type":"long"},'
        '{"name":"channel","type":"string"},{"name":"provider","type":"string"},'
        '{"name":"campaign_id","type":["null","string"]},{"name":"lane","type":"string"},'
        '{"name":"reason","type":"string"},{"name":"next_attempt_at","type":"long"},'
        '{"name":"provider_code","type":["null","string"]},{"name":"in_doubt","type":"boolean"}]}'
    )
    assert crc_64_avro(b'"int"') == 0x7275D51A3F395C8F  # a published value of the specification's test data
    assert published()["RetryEvent"][0].fingerprint == crc_64_avro(canonical.encode()).to_bytes(8, "little")


def crc_64_avro(data: bytes) -> int:
    empty = 0xC15D213AA4D7A795
    fingerprint = empty
    for byte in data:
        step = (fingerprint ^ byte) & 0xFF
        for _ in range(8):
            step = (step >> 1) ^ (empty if step & 1 else 0)
        fingerprint = (fingerprint >> 8) ^ step
    return fingerprint


@given(st.integers(0, 2**32 - 1), st.binary(max_size=20))
def test_registry_framing_carries_the_id(schema_id: int, record: bytes) -> None:
    prefix = registry_prefix(schema_id)
    assert prefix_of(prefix + record) == prefix
    assert schema_id_of(prefix) == schema_id


@given(st.binary(min_size=8, max_size=8), st.binary(max_size=20))
def test_single_object_framing_carries_the_fingerprint(fingerprint: bytes, record: bytes) -> None:
    prefix = single_object_prefix(fingerprint)
    assert prefix_of(prefix + record) == prefix
    assert schema_id_of(prefix) is None
