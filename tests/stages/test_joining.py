"""The join says the same once, in whatever order receipts and results come, wherever its process dies."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.codec.assembly import open_codecs
from processor.core.events import DeliveryEvent, EngagementEvent, Receipt
from processor.core.plan import Plan
from processor.core.report import SETTLED_WITHIN_MS
from processor.core.words import Lane, Reason, Status
from processor.kafka.committed import Committed
from processor.kafka.topics import Names
from processor.stages.joining.ages import Ages
from processor.stages.joining.join import Join
from processor.stages.joining.messages import Messages
from processor.stages.joining.policy import ReceiptPolicy
from processor.stages.joining.progress import Progress, progress_of
from processor.stages.joining.receipts import Reports
from processor.stages.record import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processor.kafka.committed import Place
    from processor.kafka.transactions import Output

NAMES: Final = Names("comm")
CODEC: Final = open_codecs().events
POLICY: Final = ReceiptPolicy(horizon_ms=1_000_000, patience_ms=100_000)
NOW_MS: Final = 10_000_000
WAITS: Final = NOW_MS + POLICY.patience_ms // 2  # nothing is over yet
RECEIPTS: Final = (NAMES.receipts, 0)
PARTS: Final = (NAMES.parts, 0)


def receipt(name: str, state: str = "delivered", **more: Any) -> Receipt:
    known = {"message_id": None, "provider_code": None, "done_at": None, "received_at_ms": NOW_MS} | more
    return Receipt(
        event_id=f"{name}-{state}", provider="P", provider_message_id=name, id_keys=(name,), state=state, **known
    )


def sent(name: str, *parts: str, **more: Any) -> DeliveryEvent:
    known: dict[str, Any] = {"provider_message_id": parts[-1] if parts else name, "part_ids": parts} | more
    return DeliveryEvent(
        f"e-{name}", f"m-{name}", None, 1, NOW_MS, "C", "P", None, Lane.BULK, Status.SENT, True, Reason.ACCEPTED
    )._replace(**known)


@dataclass
class Logs:
    """Kafka as the join sees it: two logs of input, one of delivery events in two partitions, and commits."""

    records: dict[Place, list[tuple[bytes | None, int]]] = field(default_factory=lambda: {RECEIPTS: [], PARTS: []})
    results: dict[int, list[bytes]] = field(default_factory=lambda: {0: [], 1: []})
    commits: dict[Place, Committed] = field(default_factory=dict)
    published: list[Output] = field(default_factory=list)

    def put(self, event: Receipt | DeliveryEvent, at_ms: int = NOW_MS) -> None:
        if isinstance(event, Receipt):
            self.records[RECEIPTS].append((CODEC.encode_receipt(event), at_ms))
        else:
            self.results[len(event.message_id) % 2].append(CODEC.encode_delivery(event))

    def events(self) -> list[DeliveryEvent | EngagementEvent | Receipt]:
        outputs = [each for each in self.published if each.topic != NAMES.parts]
        return [CODEC.decode_event(each.value) for each in outputs]  # type: ignore[misc] # of these three topics

    def statuses(self) -> Counter[tuple[str, str]]:
        found = [each for each in self.events() if isinstance(each, DeliveryEvent)]
        return Counter((each.message_id.removeprefix("m-"), str(each.status)) for each in found)


class Positions:
    """How far a process has read the delivery topic."""

    def __init__(self) -> None:
        self.positions = {0: 0, 1: 0}

    def reaches(self, offsets: Mapping[int, int]) -> bool:
        return all(self.positions[partition] >= offset for partition, offset in offsets.items())


class Process:
    """One process that joins: what the loop does, without Kafka."""

    def __init__(self, logs: Logs, policy: ReceiptPolicy = POLICY) -> None:
        self.logs = logs
        self.replay = Positions()
        self.join = Join(Reports(NAMES, CODEC, Plan({}, {})), policy)
        self.next: dict[Place, int] = {}
        for place in logs.records:
            committed = logs.commits.get(place)
            done = Progress(0, 0) if committed is None else progress_of(committed)
            self.join.own(place, done)
            self.next[place] = done.since

    def read(self, place: Place, most: int = 1_000) -> None:
        """Take in the next records of a partition."""
        for value, at_ms in self.logs.records[place][self.next[place] :][:most]:
            record = Record(place, self.next[place], b"key", value, at_ms, None)
            part = self.join.parts[place]
            part.receive(record)
            part.passed(record)
            self.next[place] += 1

    def follow(self, partition: int, most: int = 1_000) -> None:
        """Take in the next events of a partition of the delivery topic."""
        position = self.replay.positions[partition]
        for value in self.logs.results[partition][position:][:most]:
            self.join.apply(partition, self.replay.positions[partition], value)
            self.replay.positions[partition] += 1

    def tick(self, *, now_ms: int = WAITS) -> None:
        """Publish and commit."""
        self.join.catch_up(self.replay, PAGE)  # type: ignore[arg-type] # it asks for nothing else
        current = all(self.replay.positions[n] == len(r) for n, r in self.logs.results.items())
        self.join.expire(now_ms, PAGE, current=current)
        for place, part in self.join.parts.items():
            if part.behind:
                continue
            done = part.progress(self.replay.positions)
            for output in part.taken():
                self._publish(output)
            part.done = done
            commit = done.commit()
            self.logs.commits[place] = Committed(commit.offset, commit.metadata)

    def _publish(self, output: Output) -> None:
        self.logs.published.append(output)
        if output.topic == NAMES.parts:
            self.logs.records[PARTS].append((output.value, NOW_MS))
        elif output.topic == NAMES.delivery:
            self.logs.results[len(output.key or b"") % 2].append(output.value or b"")

    def all(self, *, now_ms: int = WAITS) -> None:
        """Take in everything there is, until nothing more comes of it."""
        for _ in range(4 + len(self.logs.records[RECEIPTS]) // PAGE):
            for place in self.logs.records:
                self.read(place)
            for partition in self.logs.results:
                self.follow(partition)
            self.tick(now_ms=now_ms)


def joined(*events: Receipt | DeliveryEvent) -> Logs:
    """Return the logs after everything of *events* was joined."""
    logs = Logs()
    for event in events:
        logs.put(event)
    Process(logs).all()
    return logs


WORLD: Final[list[Receipt | DeliveryEvent]] = [
    sent("a"),
    sent("bb", "b1", "b2", "b3"),
    sent("c"),
    sent("dd", "d1", "d2"),
    receipt("a"),
    receipt("a"),
    receipt("a", "bounced_soft"),
    receipt("b1"),
    receipt("b2"),
    receipt("b2"),
    receipt("b3"),
    receipt("c", "enroute"),
    receipt("c", "expired"),
    receipt("d1", "undeliverable"),
    receipt("d2", "undeliverable"),
    receipt("nobody"),
    receipt("e", message_id="m-e", channel="C"),
    receipt("f", "opened", message_id="m-f", channel="C"),
]
EXPECTED: Final = {
    ("a", "DELIVERED"): 1,
    ("a", "BOUNCED"): 1,
    ("bb", "DELIVERED"): 1,
    ("c", "BOUNCED"): 1,
    ("dd", "BOUNCED"): 1,
    ("e", "DELIVERED"): 1,
}
PAGE: Final = 3
STEPS: Final = st.lists(
    st.sampled_from(["put", "receipts", "parts", "follow 0", "follow 1", "tick", "die"]), min_size=10, max_size=80
)


@settings(max_examples=400)
@given(st.permutations(WORLD), STEPS)
def test_in_any_order_and_with_deaths_at_any_step_everything_is_said_once(
    world: list[Receipt | DeliveryEvent], steps: list[str]
) -> None:
    logs, left = Logs(), list(world)
    process = Process(logs)
    for step in steps:
        match step.split():
            case ["put"] if left:
                logs.put(left.pop())
            case ["receipts"]:
                process.read(RECEIPTS, 2)
            case ["parts"]:
                process.read(PARTS, 2)
            case ["follow", partition]:
                process.follow(int(partition), 2)
            case ["tick"]:
                process.tick()
            case ["die"]:
                process = Process(logs)
            case _:
                pass  # nothing is left to put
    for event in left:
        logs.put(event)
    process.all()
    Process(logs).all()  # who takes over finds nothing left to say
    assert logs.statuses() == EXPECTED

    Process(logs).all(now_ms=NOW_MS + POLICY.patience_ms)  # patience is over
    Process(logs).all(now_ms=NOW_MS + 2 * POLICY.patience_ms)
    assert logs.statuses() == EXPECTED
    assert [each.event_id for each in logs.events() if isinstance(each, Receipt)] == ["nobody-delivered"]
    assert [each.type for each in logs.events() if isinstance(each, EngagementEvent)] == ["opened"]


def test_a_receipt_whose_message_comes_after_hours_still_joins() -> None:
    logs = Logs()
    logs.put(receipt("a"))
    Process(logs).all()
    logs.put(sent("a"))
    Process(logs).all(now_ms=NOW_MS + POLICY.patience_ms - 1)

    assert logs.statuses() == {("a", "DELIVERED"): 1}


def test_a_message_older_than_the_horizon_is_not_taken_for_one_whose_id_the_provider_uses_again() -> None:
    logs = joined(sent("a", occurred_at_ms=NOW_MS - POLICY.horizon_ms - 1), receipt("a"))
    assert logs.statuses() == {}

    logs = joined(sent("a", occurred_at_ms=NOW_MS - POLICY.horizon_ms), receipt("a"))
    assert logs.statuses() == {("a", "DELIVERED"): 1}


def test_of_two_messages_with_one_id_the_later_one_is_meant() -> None:
    old, new = sent("a", occurred_at_ms=NOW_MS - 9), sent("bb", provider_message_id="a")

    assert joined(new, old, receipt("a")).statuses() == {("bb", "DELIVERED"): 1}


def test_who_takes_over_waits_for_the_result_that_was_applied_and_takes_no_other() -> None:
    logs = joined(sent("bb", provider_message_id="a"), receipt("a"))
    logs.put(sent("a"))  # the provider uses the id again

    process = Process(logs)
    process.read(RECEIPTS)
    process.follow(1)
    process.tick()
    process.all()

    assert logs.statuses() == {("bb", "DELIVERED"): 1}


def test_a_message_that_was_sent_after_its_receipt_came_is_another_one_with_the_same_id() -> None:
    late = sent("a", occurred_at_ms=NOW_MS + SETTLED_WITHIN_MS + 1)
    assert joined(receipt("a"), late).statuses() == {}
    assert joined(sent("bb", provider_message_id="a"), late, receipt("a")).statuses() == {("bb", "DELIVERED"): 1}

    soon = sent("a", occurred_at_ms=NOW_MS + SETTLED_WITHIN_MS)
    assert joined(receipt("a"), soon).statuses() == {("a", "DELIVERED"): 1}
    assert joined(receipt("x", message_id="m-a"), late).statuses() == {("a", "DELIVERED"): 1}, "it says which it is"


def test_another_providers_message_with_the_same_id_is_left_alone() -> None:
    assert joined(sent("a", provider="Q"), receipt("a")).statuses() == {}


def test_nothing_is_an_orphan_while_messages_are_still_being_read() -> None:
    logs = Logs()
    logs.put(receipt("a"))
    logs.put(sent("a"))
    process = Process(logs)
    process.read(RECEIPTS)
    process.tick(now_ms=NOW_MS + 2 * POLICY.patience_ms)
    assert not logs.published

    process.all(now_ms=NOW_MS + 2 * POLICY.patience_ms)
    assert logs.statuses() == {("a", "DELIVERED"): 1}


def test_orphans_expire_a_few_at_a_time_and_each_once_whoever_dies_between() -> None:
    logs = Logs()
    for number in range(10):
        logs.put(receipt(f"{number}"))
    late_ms = NOW_MS + 2 * POLICY.patience_ms
    published: list[int] = []
    for _ in range(5):
        process = Process(logs)
        process.read(RECEIPTS)
        for _ in range(4):  # as long as it takes to catch up with ten
            process.tick(now_ms=late_ms)
        published.append(len(logs.published))

    assert published == [3, 9, 10, 10, 10]
    names = [each.event_id for each in logs.events() if isinstance(each, Receipt)]
    assert names == [f"{number}-delivered" for number in range(10)]
    assert progress_of(logs.commits[RECEIPTS]).since == 10


def test_the_same_act_reported_again_is_flagged() -> None:
    known = {"message_id": "m", "channel": "C"}
    again = receipt("a", "opened", **known)._replace(event_id="another")

    logs = joined(receipt("a", "opened", **known), again)

    assert [each.repeated for each in logs.events() if isinstance(each, EngagementEvent)] == [False, True]


def test_what_is_over_is_not_read_again() -> None:
    logs = Logs()
    for number in range(50):
        logs.put(receipt(f"{number}"), NOW_MS + number * 10_000)
        logs.put(sent(f"{number}"))
    Process(logs).all(now_ms=NOW_MS + 50 * 10_000)

    assert 35 <= progress_of(logs.commits[RECEIPTS]).since <= 41  # a hundred seconds' worth are kept


def test_a_commit_that_an_operator_set_by_hand_starts_there() -> None:
    assert progress_of(Committed(7, "")) == Progress(7, 7)
    assert progress_of(Committed(7, "{}")) == Progress(7, 7)
    made = Progress(9, 4, {0: 5, 1: 6})
    commit = made.commit()
    assert progress_of(Committed(commit.offset, commit.metadata)) == made


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 500)), max_size=30), st.integers(0, 1_000))
def test_nothing_young_is_over_and_nothing_old_stays_for_long(moves: list[tuple[int, int]], now_ms: int) -> None:
    ages, offset, stamps = Ages(100, 0), 0, {}
    for ahead, at_ms in moves:
        offset += ahead
        stamps[offset] = at_ms
        ages.saw(offset, at_ms)

    over = ages.advance(now_ms)

    young = [each for each, at_ms in stamps.items() if at_ms > now_ms - 100]
    assert all(over <= each for each in young)
    if all(at_ms <= now_ms - 100 for at_ms in stamps.values()) and stamps:
        assert over == offset + 1


def test_messages_are_forgotten_after_the_horizon_and_not_before() -> None:
    messages = Messages(CODEC.decode_event, horizon_ms=8_000)
    for at_ms in range(0, 20_000, 100):
        event = sent(f"{at_ms}", occurred_at_ms=at_ms)
        messages.add(0, at_ms, event, CODEC.encode_delivery(event))
    messages.forget(before_ms=12_000)

    assert messages.find([f"p\nP\n{12_000}"])
    assert not messages.find([f"p\nP\n{10_900}"])
    assert len(messages) == 80
    messages.close()


@pytest.mark.parametrize("state", ["enroute", "accepted", "unknown", "other", "a word of tomorrow"])
def test_a_state_that_is_no_status_changes_nothing(state: str) -> None:
    assert joined(sent("a"), receipt("a", state)).events() == []
