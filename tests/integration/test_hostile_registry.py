"""A schema of a real registry that nobody should read by: what was written with it is dead-lettered, unread."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from processor.codec.framing import registry_prefix
from processor.core.words import Reason, Status
from tests.codec.wire import number
from tests.support.cluster import fresh
from tests.support.ledgers import Asked
from tests.support.plant import Plant, message, plant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.sandbox.broker import Broker, Registry

NESTED = {
    "type": "record",
    "name": "comm.OutboundMessage",
    "fields": [{"name": "inner", "type": ["null", "comm.OutboundMessage"], "default": None}],
}
NULLS = {
    "type": "record",
    "name": "comm.OutboundMessage",
    "fields": [{"name": "nothing", "type": {"type": "array", "items": "null"}}],
}
HOSTILE: dict[str, tuple[dict[str, Any], bytes]] = {
    "nested 5,000 deep": (NESTED, number(1) * 5_000 + number(0)),  # kills fastavro (1.13.1)
    "2*10**8 nulls in six bytes": (NULLS, number(200_000_000) + number(0)),  # 1.5 GiB there
}


@pytest.fixture(scope="module")
def works(kafka: Broker, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with plant(
        kafka.bootstrap, tmp_path_factory.mktemp("registry"), changes={"registry": {"url": registry.url}}
    ) as made:
        yield made


def registered(registry: Registry, schema: dict[str, Any]) -> int:
    """Return the id that the registry gives to a schema, as any producer may have it."""
    request = urllib.request.Request(
        f"{registry.url}/subjects/{fresh('hostile')}-value/versions",
        json.dumps({"schema": json.dumps(schema)}).encode(),
        {"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(json.loads(answer.read())["id"])


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_record_of_a_deadly_schema_is_dead_lettered_and_the_next_one_sent(
    works: Plant, registry: Registry, kind: str
) -> None:
    schema, record = HOSTILE[kind]
    value = registry_prefix(registered(registry, schema)) + record
    after = message(fresh("after"))

    works.put(value, Asked(None), works.names.outbound, partition=0)
    works.put(
        works.codecs.outbound.encode_message(after), Asked(after.head.message_id), works.names.outbound, partition=0
    )
    works.flush()
    ledgers = works.drained(within_s=30)

    (letter,) = [each for each in ledgers.dead if each.value == value]
    assert (letter.reason, letter.message_id) == (Reason.UNREADABLE, None)
    assert [each.status for each in ledgers.delivery if each.message_id == after.head.message_id] == [Status.SENT]
    assert all(works.alive().values())
    works.check()
