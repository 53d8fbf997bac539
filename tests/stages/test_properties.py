"""The properties of a message are checked against the JSON Schema of its channel."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.core.verdict import End
from processor.core.words import Reason, Status
from processor.stages.properties import PropertyChecks, compiled
from tests.core.worlds import channel, plan

SCHEMA = {
    "type": "object",
    "properties": {"customer": {"pattern": "^[0-9]{6}$"}, "language": {"enum": ["ro", "en"]}},
    "required": ["customer"],
    "additionalProperties": False,
}
CANARY = "canary-value-8842"


@pytest.fixture
def checks() -> PropertyChecks:
    return PropertyChecks(plan(replace(channel(), properties=SCHEMA)))


def test_what_fits_passes(checks: PropertyChecks) -> None:
    assert checks.refusal("Email", {"customer": "123456", "language": "ro"}) is None


@pytest.mark.parametrize(
    ("properties", "field_name"),
    [
        ({}, "properties"),
        ({"customer": CANARY}, "properties.customer"),
        ({"customer": "123456", "language": CANARY}, "properties.language"),
        ({"customer": "123456", CANARY: "x"}, "properties"),
    ],
)
def test_what_does_not_fit_is_rejected_by_the_name_of_a_configured_property(
    checks: PropertyChecks, properties: dict[str, str], field_name: str
) -> None:
    assert checks.refusal("Email", properties) == End(Status.REJECTED, Reason.INVALID_PROPERTIES, field_name)


def test_a_channel_without_a_schema_takes_any_properties() -> None:
    assert PropertyChecks(plan()).refusal("Email", {"anything": "goes"}) is None


@pytest.mark.parametrize(
    "schema", [{"type": "text"}, {"pattern": "("}, {"pattern": "(?=a)b"}, {"$ref": "http://127.0.0.1:9/schema.json"}]
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="JSON Schema"):
        compiled(schema)
