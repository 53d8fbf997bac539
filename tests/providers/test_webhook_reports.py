"""From bodies to receipts: whatever is written, the answer is receipts or a status, and the same report has one id."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.codec.assembly import open_codecs
from processor.core.events import Receipt
from processor.core.vocabulary import STATES
from processor.providers.webhooks.reading import REPORTS_MAX, Malformed, Reader
from processor.providers.webhooks.reports import CUT, RAW_BYTES_MAX, Reports
from processor.providers.webhooks.times import FORMATS, unix_ms
from tests.providers.webhook_calls import GENERIC, NOW_MS, configured

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processor.providers.webhooks.config import Reading

CODEC = open_codecs().events
REPORT = {
    "what": "done",
    "id": "e-1",
    "message": "00AB-7",
    "at": 1_750_000_000,
    "ours": {"message_id": "m:1"},
    "to": "ann@example.org",
}


@cache
def reading_of(webhook: str) -> Reading:
    return configured({**GENERIC, **json.loads(webhook)}).reading


def taken(content: bytes, query: Mapping[str, str] | None = None, /, **webhook: Any) -> list[Receipt] | Malformed:
    reading = reading_of(json.dumps(webhook))
    reader = Reader(reading)
    whole = reader.whole(content)
    reports = whole if isinstance(whole, Malformed) else reader.reports(whole)
    if isinstance(reports, Malformed):
        return reports
    made = Reports("P", reading)
    receipts = [made.receipt(report, query or {}, now_ms=NOW_MS) for report in reports]
    return next((each for each in receipts if isinstance(each, Malformed)), None) or [
        each for each in receipts if isinstance(each, Receipt)
    ]


def one(report: Mapping[str, Any], query: Mapping[str, str] | None = None, /, **webhook: Any) -> Receipt:
    found = taken(orjson.dumps({"events": [report]}), query, **webhook)
    assert isinstance(found, list)
    return found[0]


def test_a_report_becomes_a_receipt() -> None:
    receipt = one(REPORT)

    assert receipt._replace(event_id="") == Receipt(
        event_id="",
        provider="P",
        provider_message_id="00AB-7",
        id_keys=("ab-7",),
        message_id="m:1",
        state="delivered",
        provider_code=None,
        done_at=None,
        received_at_ms=NOW_MS,
        occurred_at_ms=1_750_000_000_000,
        provider_type="done",
    )


def test_the_longest_type_and_subtype_that_fit_give_the_state() -> None:
    assert one(REPORT | {"what": "bounce"}).state == "bounced_soft"
    assert one(REPORT | {"what": "bounce", "kind": "hard"}).state == "bounced_hard"
    assert one(REPORT | {"what": "bounce", "kind": "strange/new"}).state == "bounced_soft"
    assert one(REPORT | {"what": "hard"}).state == "other"


def test_a_type_that_no_table_lists_is_kept_whole() -> None:
    report = REPORT | {"what": "teleported", "more": {"deep": [1, 2.5, None, "ț"]}}

    receipt = one(report)

    assert (receipt.state, receipt.provider_type) == ("other", "teleported")
    assert json.loads(receipt.raw or "") == report
    assert receipt.message_id == "m:1"
    assert "ann@example.org" not in repr(receipt)
    assert one(REPORT).raw is None


def test_a_large_report_of_an_unknown_type_is_cut_with_a_mark() -> None:
    receipt = one(REPORT | {"what": "new", "more": "ț" * RAW_BYTES_MAX})

    assert receipt.raw is not None
    assert receipt.raw.endswith(CUT)
    assert len(receipt.raw.encode()) <= RAW_BYTES_MAX + len(CUT.encode())


def test_a_report_without_a_type_is_other() -> None:
    types: list[Any] = [None, ["done"], "d\none", "x" * 1_000, {}]
    for strange in types:
        receipt = one({"id": "e-1", "what": strange})
        assert (receipt.state, receipt.provider_message_id, receipt.id_keys) == ("other", "", ())


def test_a_report_that_comes_again_has_the_same_id_and_another_has_another() -> None:
    shuffled = dict(reversed(REPORT.items()))

    assert one(REPORT).event_id == one(shuffled).event_id == one(REPORT | {"to": "bob@example.org"}).event_id
    others: list[dict[str, Any]] = [{"id": "e-2"}, {"id": None}, {"id": None, "at": 1}, {"what": "seen"}]
    assert len({one({**REPORT, **other}).event_id for other in ({}, *others)}) == 1 + len(others)
    anonymous = {key: value for key, value in REPORT.items() if key != "id"}
    assert one(anonymous).event_id == one(dict(reversed(anonymous.items()))).event_id


def test_each_report_of_a_call_has_a_receipt_and_an_id_of_its_own() -> None:
    reports = [REPORT | {"id": f"e-{number}"} for number in range(500)]

    found = taken(orjson.dumps({"events": reports}))

    assert isinstance(found, list)
    assert len({receipt.event_id for receipt in found}) == 500


def test_our_ids_come_from_their_own_paths_else_the_echoed_text_else_the_query() -> None:
    text = "message_id=m%3A2&channel=Email&attempt=3&campaign_id=spring&external_id=ref+1"
    query = {"message_id": "m:3", "channel": "SMS", "external_id": "other"}

    own = one(REPORT, query)
    echoed = one({"what": "done", "data": text}, query, echo="data")
    asked = one({"what": "done"}, query, echo="data")

    assert (own.message_id, own.channel) == ("m:1", "SMS")
    assert (echoed.message_id, echoed.channel, echoed.attempt) == ("m:2", "Email", 3)
    assert (echoed.campaign_id, echoed.external_id) == ("spring", "ref 1")
    assert (asked.message_id, asked.channel, asked.external_id) == ("m:3", "SMS", "other")


def test_what_is_echoed_and_could_never_be_ours_is_left_out() -> None:
    query = {"message_id": "a b", "channel": "x" * 65, "external_id": "\n", "campaign_id": "c" * 1_025, "attempt": "٣"}

    receipt = one({"what": "done"}, query)

    assert (receipt.message_id, receipt.channel, receipt.external_id) == (None, None, None)
    assert (receipt.campaign_id, receipt.attempt) == (None, None)


def test_an_id_that_the_provider_adds_to_is_known_by_what_it_answered() -> None:
    receipt = one(REPORT | {"message": "Ab.cd.filter0001.16"}, id_ends_at=[".recvd", ".filter"])

    assert receipt.provider_message_id == "Ab.cd.filter0001.16"
    assert receipt.id_keys == ("ab.cd", "ab.cd.filter0001.16")


@pytest.mark.parametrize(
    ("written", "value", "at_ms"),
    [
        ("unix_s", 1_521_472_262.908181, 1_521_472_262_908),
        ("unix_s", "1521472262", 1_521_472_262_000),
        ("unix_ms", 1_521_472_262_908, 1_521_472_262_908),
        ("iso8601", "2014-08-01T13:28:10.2735393-04:00", 1_406_914_090_273),
        ("iso8601", "2019-11-09T16:00:00.000+0000", 1_573_315_200_000),
        ("iso8601", "2018-10-25 12:10:29", 1_540_469_429_000),
        ("rfc2822", "Thu, 30 Jul 2015 20:12:31 +0000", 1_438_287_151_000),
        ("unix_s", 10**300, None),
        ("unix_s", -1, None),
        ("unix_s", True, None),
        ("unix_ms", 253_402_300_800_000, None),
        ("iso8601", "0001-01-01T00:00:00+14:00", None),
        ("iso8601", "yesterday", None),
        ("rfc2822", "Thu, 99 Foo 2015", None),
        ("iso8601", 1_521_472_262, None),
    ],
)
def test_an_instant_is_read_as_it_is_written_and_else_not_at_all(written: str, value: Any, at_ms: int | None) -> None:
    assert unix_ms(value, written) == at_ms


@given(st.sampled_from(list(FORMATS)), st.one_of(st.text(max_size=70), st.floats(), st.integers(), st.none()))
def test_whatever_stands_where_an_instant_should_raises_nothing(written: str, value: Any) -> None:
    found = unix_ms(value, written)

    assert found is None or 0 <= found < 253_402_300_800_000


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),  # no events in it
        (b'{"events": 1}', 400),
        (b'{"events": [1]}', 400),
        (b'{"events": [{}, null]}', 400),
        (b'{"events": "x"}', 400),
        (b'{"events": [{"a": 1e999}]}', 400),
        (b'{"events": [{"a": NaN}]}', 400),
        (b'{"events": [{"a": "\\ud800"}]}', 400),
        (b'{"events": [{"a": "\xff"}]}', 400),
        (b"[" * 100_000, 400),
        (b'{"events": [{"a": ' + b"[" * 1_000 + b"]" * 1_000 + b"}]}", 400),
        (b'{"events": [' + b"{}," * REPORTS_MAX + b"{}]}", 413),
        (b'{"events": [' + b"1," * 100_000 + b"1]}", 413),
    ],
    ids=lambda it: it[:20] if isinstance(it, bytes) else it,
)
def test_a_body_without_reports_gets_a_status(body: bytes, status: int) -> None:
    assert taken(body) == Malformed(status)


def test_an_empty_list_is_no_reports_and_no_fault() -> None:
    assert taken(b'{"events": []}') == []


def test_one_report_needs_no_list() -> None:
    found = taken(orjson.dumps({"events": REPORT}))

    assert isinstance(found, list)
    assert [receipt.message_id for receipt in found] == ["m:1"]


def test_a_name_that_occurs_twice_counts_once() -> None:
    found = taken(b'{"events": [{"what": "done", "what": "seen", "id": "1"}]}')

    assert isinstance(found, list)
    assert found[0].state == "opened"


def test_a_form_is_one_report() -> None:
    found = taken(b"what=done&message=SM1&ours=&what=seen", body="form", reports="@", message_id=None)

    assert isinstance(found, list)
    assert (found[0].state, found[0].provider_message_id) == ("delivered", "SM1")
    for strange in (b"%ff=1", b"\xff", b"&".join([b"a=1"] * 2_000)):
        assert taken(strange, body="form", reports="@") == Malformed(400)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMED = st.fixed_dictionaries({}, optional=dict.fromkeys([*REPORT, "kind"], JSON))
HOSTILE = {
    "type": "what || join('/', list)",
    "subtype": "sort_by(kind, &a)[0].b",
    "code": "to_string(sum(code))",
    "message_id": "ours[?x > `1`] | [0].message_id",
    "event_id": "merge(id, ours).id",
    "echo": "reverse(echo)",
}


@given(st.lists(NAMED, max_size=3), st.booleans())
@example([{"what": "done", "kind": "a/" * 60}], False)
@example([{"message": "\u2028"}], False)
def test_whatever_shape_a_report_has_its_receipt_can_be_published(reports: list[Any], hostile: bool) -> None:
    body = json.dumps({"events": reports}).encode()

    found = taken(body, **(HOSTILE if hostile else {}))

    if isinstance(found, Malformed):
        assert found.status == 400  # an integer too large for a double
        return
    for receipt in found:
        assert receipt.state in STATES
        assert CODEC.decode_event(CODEC.encode_receipt(receipt)) == receipt
        assert len(receipt.event_id) == 32


@given(st.binary(max_size=300))
def test_whatever_bytes_a_body_has_it_gets_receipts_or_a_status(body: bytes) -> None:
    for kind in ("json", "form"):
        found = taken(body, body=kind, reports="@")
        assert isinstance(found, list) or found.status in {400, 413}
