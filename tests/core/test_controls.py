"""What is suppressed and recalled, against a plain dictionary of the records that were taken in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.control import RECALL, SUPPRESSION, address_hash, control_key
from processor.core.controls import Controls, Table
from processor.core.events import Control
from processor.core.message import Head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import SearchStrategy

CAMPAIGNS = ("spring", "autumn", "with\nline\nfeeds", "")
CHANNELS = ("Email", "SMS")
IDS = ("m-1", "m-2")
HASHES = tuple(address_hash(f"{name}@example.com", b"key") for name in ("one", "two", "three"))
INSTANTS = (None, 5, 10)


def suppression(scope: str, hashed: str, campaign: str | None = None, until_ms: int | None = None) -> Control:
    return Control(SUPPRESSION, scope, hashed, "m-0", campaign, None, until_ms, 1, "operator")


def recall(scope: str, about: str, until_ms: int | None = None) -> Control:
    return Control(
        kind=RECALL,
        scope=scope,
        address_hash=None,
        message_id=about if scope == "message" else None,
        campaign_id=about if scope == "campaign" else None,
        channel=about if scope == "channel" else None,
        until_ms=until_ms,
        set_at_ms=1,
        cause="operator",
    )


def some_control() -> SearchStrategy[Control]:
    untils = st.sampled_from(INSTANTS)
    hashes = st.sampled_from(HASHES)
    return st.one_of(
        st.builds(suppression, st.sampled_from(("marketing", "all_but_transactional")), hashes, until_ms=untils),
        st.builds(suppression, st.just("campaign"), hashes, st.sampled_from(CAMPAIGNS), untils),
        st.builds(recall, st.just("message"), st.sampled_from(IDS), untils),
        st.builds(recall, st.just("campaign"), st.sampled_from(CAMPAIGNS), untils),
        st.builds(recall, st.just("channel"), st.sampled_from(CHANNELS), untils),
    )


RECORDS = st.lists(st.tuples(some_control(), st.booleans()), max_size=40)
HEADS = st.builds(
    Head, st.sampled_from(IDS), st.sampled_from(CHANNELS), campaign_id=st.none() | st.sampled_from(CAMPAIGNS)
)


class Obvious:
    """Keeps the whole records, and looks through all of them."""

    def __init__(self, records: Sequence[tuple[Control, bool]]) -> None:
        self.known: dict[bytes, Control] = {}
        for control, taken_back in records:
            self.known[control_key(control)] = control
            if taken_back:
                del self.known[control_key(control)]

    def recalled(self, head: Head, now_ms: int) -> bool:
        about = {"message": head.message_id, "campaign": head.campaign_id, "channel": head.channel}
        named = ("message_id", "campaign_id", "channel")
        return any(
            getattr(each, name) == about[each.scope]
            for each in self._in_force(RECALL, now_ms)
            for name in named
            if name.startswith(each.scope)
        )

    def suppressed(self, hashed: str, campaign_id: str | None, now_ms: int) -> bool:
        return any(
            each.address_hash == hashed and (each.scope != "campaign" or each.campaign_id == campaign_id)
            for each in self._in_force(SUPPRESSION, now_ms)
        )

    def _in_force(self, kind: str, now_ms: int) -> list[Control]:
        return [
            each
            for each in self.known.values()
            if each.kind == kind and (each.until_ms is None or now_ms < each.until_ms)
        ]


def taken(records: Sequence[tuple[Control, bool]]) -> Controls:
    controls = Controls()
    for control, taken_back in records:
        assert controls.take(control_key(control), control)
        if taken_back:
            assert controls.take(control_key(control), None)
    return controls


@given(RECORDS, HEADS, st.integers(0, 12))
def test_a_message_is_recalled_exactly_where_some_record_in_force_says_so(
    records: list[tuple[Control, bool]], head: Head, now_ms: int
) -> None:
    assert taken(records).recalled(head, now_ms) == Obvious(records).recalled(head, now_ms)


@given(RECORDS, st.sampled_from(HASHES), st.none() | st.sampled_from(CAMPAIGNS), st.integers(0, 12))
def test_an_address_is_suppressed_exactly_where_some_record_in_force_says_so(
    records: list[tuple[Control, bool]], hashed: str, campaign_id: str | None, now_ms: int
) -> None:
    expected = Obvious(records).suppressed(hashed, campaign_id, now_ms)
    assert taken(records).suppressed(hashed, campaign_id, now_ms) == expected


@given(RECORDS)
def test_they_are_counted_by_what_they_are_about_and_not_by_how_often_they_were_said(
    records: list[tuple[Control, bool]],
) -> None:
    controls, known = taken(records), Obvious(records).known.values()

    assert controls.recalls.count == sum(each.kind == RECALL for each in known)
    assert controls.suppressions.count == sum(each.kind == SUPPRESSION for each in known)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**63 - 1), st.booleans()), max_size=200))
def test_a_table_of_digests_agrees_with_a_dictionary(changes: list[tuple[int, int, bool]]) -> None:
    table, known = Table(), dict[int, int]()
    for digest, until_ms, kept in changes:
        table.put(digest, until_ms)
        known[digest] = until_ms
        if not kept:
            table.drop(digest)
            del known[digest]
            table.drop(digest)  # a tombstone may come twice

    parts = [part for part in table._parts if part[0]]
    held = [pair for digests, untils in parts for pair in zip(digests, untils, strict=True)]
    assert held == sorted(known.items())
    assert table.count == len(known)


def test_nothing_is_quiet_before_the_topic_was_read_nor_while_anything_is_stopped() -> None:
    controls = Controls()
    seen = [controls.quiet]
    controls.whole = True
    seen.append(controls.quiet)
    controls.take(control_key(recall("campaign", "spring")), recall("campaign", "spring"))
    seen.append(controls.quiet)

    assert seen == [False, True, False]


@pytest.mark.parametrize("kind", ["quota", ""])
def test_a_kind_that_a_later_release_may_write_is_left_alone(kind: str) -> None:
    controls = Controls()
    strange = recall("campaign", "spring")._replace(kind=kind)

    assert not controls.take(control_key(strange), strange)
    assert not controls.take(control_key(strange), None)
    assert not controls.recalled(Head("m-1", "Email", campaign_id="spring"), 0)


def test_a_scope_that_a_later_release_may_write_stops_nothing_that_we_know() -> None:
    controls = taken([(recall("tenant", "spring"), False), (suppression("everything", HASHES[0]), False)])

    assert not controls.recalled(Head("m-1", "Email", campaign_id="spring"), 0)
    assert not controls.suppressed(HASHES[0], "spring", 0)
