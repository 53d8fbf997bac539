"""Answers are given once they are true; what cannot be kept is told, and counted."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from processor.codec.assembly import open_codecs
from processor.core.events import Control, EngagementEvent
from processor.core.tokens import HIDDEN_LINK, Keys, Purpose, Sealer, Ticket
from processor.core.words import Status
from processor.kafka.topics import Names
from processor.stages.tracking.acts import HIDDEN_MS, Acts, Memory
from processor.stages.tracking.buffer import Buffer, BufferTaken, Record
from processor.stages.tracking.front import Front
from processor.stages.tracking.outlet import ANSWER_S, Outlet
from tests.support.eventually import eventually_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from processor.stages.tracking.responses import Response

SEALER = Sealer(Keys(1, {1: b"a secret of some length for the tests"}))
CODEC = open_codecs().events
NAMES = Names("comm")
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
ONE_CLICK = b"List-Unsubscribe=One-Click"
SENT_AT_S = 1_800_000_000


@dataclass
class Topics:
    """A log in memory that can be away, or hang."""

    records: list[Record] = field(default_factory=list)
    away: bool = False
    hangs: bool = False
    unanswered: list[tuple[Record, Callable[[KafkaError | None, None], None]]] = field(default_factory=list)

    def soon(self, topic: str, key: bytes, value: bytes) -> asyncio.Future[None]:
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.away:
            acknowledged.set_exception(KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT)))
        elif not self.hangs:
            self.records.append(Record(topic, key, value))
            acknowledged.set_result(None)
        return acknowledged

    def hand(self, topic: str, key: bytes, value: bytes, told: Callable[[KafkaError | None, None], None]) -> None:
        if self.away:
            told(KafkaError(KafkaError._MSG_TIMED_OUT), None)
        elif self.hangs:
            self.unanswered.append((Record(topic, key, value), told))
        else:
            self.records.append(Record(topic, key, value))
            told(None, None)

    def answer(self) -> None:
        """Take what was handed while it hung, the first half of it; the rest is refused."""
        self.hangs = False
        for number, (record, told) in enumerate(self.unanswered):
            if number < len(self.unanswered) / 2:
                self.records.append(record)
                told(None, None)
            else:
                told(KafkaError(KafkaError._MSG_TIMED_OUT), None)

    def events(self) -> list[EngagementEvent]:
        read = [CODEC.decode_event(each.value) for each in self.records if each.topic == NAMES.engagement]
        return [each for each in read if isinstance(each, EngagementEvent)]

    def controls(self) -> list[tuple[bytes, Control]]:
        read = [(each.key, CODEC.decode_event(each.value)) for each in self.records if each.topic == NAMES.control]
        return [(key, each) for key, each in read if isinstance(each, Control)]


@dataclass
class Asking:
    """A request."""

    method: str
    path: str
    given: bytes = b""
    agent: str = CHROME
    query: str = ""
    reads: int = 0

    def __post_init__(self) -> None:
        self.answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def header(self, name: str) -> str:
        return self.headers().get(name, "")

    def headers(self) -> Mapping[str, str]:
        return {"user-agent": self.agent}

    async def body(self, bytes_max: int) -> bytes | Response:
        self.reads += 1
        return self.given[:bytes_max]

    def reply(self, response: Response) -> None:
        self.answered.set_result(response)


@dataclass
class Hooks:
    """What takes webhooks."""

    status: int = 204
    taken: list[tuple[str, bytes]] = field(default_factory=list)

    def has(self, provider: str) -> bool:
        return provider == "Mailgun"

    async def take(self, provider: str, headers: Mapping[str, str], body: bytes, query: str) -> int:
        self.taken.append((provider, body))
        return self.status


class Stage:
    """The stage without its server."""

    def __init__(self, folder: Path, *, bytes_max: int = 1 << 20) -> None:
        self.kafka = Topics()
        self.memory = Memory()
        self.buffer = Buffer(folder / "buffer.sqlite", bytes_max)
        self.outlet = Outlet(self.kafka, self.buffer)
        self.now_ns = (SENT_AT_S + 3_600) * 1_000_000_000
        self.hooks = Hooks()
        self.front = Front(
            SEALER,
            Acts("0", self.memory, human_after_ms=2_000),
            self.outlet,
            CODEC,
            NAMES,
            body_bytes_max=1_024,
            ready=lambda: True,
            healthy=lambda: True,
            webhooks=self.hooks,
            now_ns=lambda: self.now_ns,
        )

    async def ask(self, purpose: Purpose, method: str = "GET", body: bytes = b"", **more: Any) -> Response:
        agent = more.pop("agent", CHROME)
        return await self.answer(Asking(method, link(purpose, **more), body, agent))

    async def answer(self, asking: Asking) -> Response:
        rest = self.front.answer(asking)
        if rest is not None:
            await rest
        return await asking.answered


def link(purpose: Purpose, message_id: str = "m-1", **more: Any) -> str:
    given = {"campaign_id": "spring", "url": "https://shop.example/" if purpose is Purpose.CLICK else None}
    if purpose is Purpose.UNSUBSCRIBE:
        given |= {"address_hash": "ab" * 16, "scope": "marketing"}
    return f"/{purpose}/{SEALER.seal(purpose, Ticket(message_id, 'Email', SENT_AT_S, **given | more))}"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    yield made
    await made.buffer.close()


@asynccontextmanager
async def draining(stage: Stage) -> AsyncIterator[None]:
    task = asyncio.create_task(stage.outlet.drain())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_act_is_in_kafka_before_it_is_answered(stage: Stage) -> None:
    answer = await stage.ask(Purpose.CLICK, position=2)

    [event] = stage.kafka.events()
    assert (answer.status, event.type, event.position, event.occurred_at_ms) == (302, "clicked", 2, 1_800_003_600_000)
    assert stage.kafka.records[0].key == b"m-1"


async def test_repeats_are_told_by_type_message_and_link(stage: Stage) -> None:
    for purpose, more in [
        (Purpose.CLICK, {}),
        (Purpose.CLICK, {"position": 1}),
        (Purpose.CLICK, {"message_id": "m-2"}),
        (Purpose.OPEN, {}),
        (Purpose.CLICK, {}),
        (Purpose.OPEN, {}),
    ]:
        await stage.ask(purpose, **more)  # type: ignore[arg-type]

    assert [each.repeated for each in stage.kafka.events()] == [False, False, False, False, True, True]


async def test_two_at_once_are_not_both_the_first(stage: Stage) -> None:
    await asyncio.gather(*(stage.ask(Purpose.OPEN) for _ in range(3)))

    assert Counter(each.repeated for each in stage.kafka.events()) == {False: 1, True: 2}


async def test_what_another_instance_saw_is_a_repeat_here(stage: Stage) -> None:
    await stage.ask(Purpose.OPEN)
    [event] = stage.kafka.events()
    stage.memory = Memory()
    stage.memory.saw(event._replace(message_id="m-9"))
    acts = Acts("1", stage.memory, human_after_ms=0)
    stage.front._acts = acts

    await stage.ask(Purpose.OPEN, message_id="m-9")

    assert stage.kafka.events()[-1].repeated


async def test_the_status_of_a_message_is_told_where_it_is_known(stage: Stage) -> None:
    stage.memory.reached("m-1", Status.SENT)

    await stage.ask(Purpose.OPEN)
    await stage.ask(Purpose.OPEN, message_id="m-2")

    assert [each.message_status for each in stage.kafka.events()] == ["SENT", None]


@pytest.mark.parametrize(
    ("reached", "status"),
    [
        ([Status.DELIVERED, Status.SENT], "DELIVERED"),
        ([Status.SENT, Status.DUPLICATE], "SENT"),
        ([Status.SENT, Status.DELAYED, Status.DELIVERED, Status.BOUNCED], "BOUNCED"),
        ([Status.COMPLAINED, Status.DELIVERED], "COMPLAINED"),
    ],
)
async def test_a_status_gives_way_to_none_that_it_outranks(stage: Stage, reached: list[Status], status: str) -> None:
    for each in reached:
        stage.memory.reached("m-1", each)

    await stage.ask(Purpose.OPEN)

    assert [each.message_status for each in stage.kafka.events()] == [status]


async def test_who_follows_a_hidden_link_also_fetched_the_rest_for_a_while(stage: Stage) -> None:
    await stage.ask(Purpose.CLICK, position=HIDDEN_LINK)
    await stage.ask(Purpose.CLICK, position=1)
    await stage.ask(Purpose.OPEN, message_id="m-2")
    stage.now_ns += (HIDDEN_MS + 1) * 1_000_000
    await stage.ask(Purpose.CLICK, position=1)

    assert [(each.actor, each.rule) for each in stage.kafka.events()] == [
        ("scanner", "hidden_link"),
        ("scanner", "hidden_link"),
        ("human", "browser"),
        ("human", "browser"),
    ]


async def test_events_wait_on_disk_while_kafka_is_away_and_follow_in_order(stage: Stage) -> None:
    stage.kafka.away = True
    answers = [await stage.ask(Purpose.CLICK, message_id=f"m-{number}") for number in range(5)]
    assert [each.status for each in answers] == [302] * 5
    assert (stage.buffer.count, stage.kafka.records) == (5, [])

    async with draining(stage):
        stage.kafka.away = False
        await eventually_async(lambda: stage.buffer.count == 0, within_s=10)

    assert [each.message_id for each in stage.kafka.events()] == [f"m-{number}" for number in range(5)]
    assert stage.buffer.size_bytes == 0


async def test_a_kafka_that_does_not_answer_delays_one_request_only(stage: Stage) -> None:
    stage.kafka.hangs = True
    loop = asyncio.get_running_loop()
    await stage.ask(Purpose.OPEN)
    began_s = loop.time()

    await stage.ask(Purpose.OPEN, message_id="m-2")

    assert loop.time() - began_s < ANSWER_S / 2
    assert stage.buffer.count == 2


async def test_what_kafka_acknowledges_late_is_not_published_again(stage: Stage) -> None:
    stage.kafka.hangs = True
    await asyncio.gather(*(stage.ask(Purpose.OPEN, message_id=f"m-{number}") for number in range(4)))
    assert (stage.buffer.count, len(stage.kafka.unanswered)) == (4, 4)

    async with draining(stage):
        await stage.ask(Purpose.OPEN, message_id="m-4")  # it is stored at once, and none is published meanwhile
        assert stage.kafka.records == []
        stage.kafka.answer()
        await eventually_async(lambda: stage.buffer.count == 0, within_s=10)

    assert [each.message_id for each in stage.kafka.events()] == [f"m-{number}" for number in range(5)]


async def test_what_waits_is_found_by_the_next_process(tmp_path: Path) -> None:
    first = Stage(tmp_path)
    first.kafka.away = True
    await first.ask(Purpose.OPEN)
    await first.buffer.close()

    second = Stage(tmp_path)
    async with draining(second):
        await eventually_async(lambda: second.buffer.count == 0, within_s=10)
    await second.buffer.close()

    assert [each.message_id for each in second.kafka.events()] == ["m-1"]


async def test_a_buffer_belongs_to_one_process(tmp_path: Path) -> None:
    first = Buffer(tmp_path / "one.sqlite", 1_000)

    with pytest.raises(BufferTaken):
        Buffer(tmp_path / "one.sqlite", 1_000)

    await first.close()


async def test_a_full_buffer_refuses_opens_and_lets_clicks_through(tmp_path: Path) -> None:
    stage = Stage(tmp_path, bytes_max=600)
    stage.kafka.away = True

    opens = [(await stage.ask(Purpose.OPEN, message_id=f"m-{number}")).status for number in range(6)]
    click = await stage.ask(Purpose.CLICK)

    assert opens[0] == 200
    assert opens[-1] == 503
    assert click.status == 302
    assert stage.buffer.size_bytes <= 600
    await stage.buffer.close()


async def test_a_disk_that_refuses_does_not_end_the_stage(stage: Stage) -> None:
    stage.kafka.away = True
    stage.buffer._file.execute("PRAGMA max_page_count = 1")  # as a full disk: SQLITE_FULL
    statuses = [(await stage.ask(Purpose.OPEN, message_id=f"{number}-{'x' * 900}")).status for number in range(20)]
    stage.buffer._file.execute("PRAGMA max_page_count = 1000000")

    assert 503 in statuses
    assert (await stage.ask(Purpose.OPEN, message_id="later")).status == 200
    assert stage.buffer.count == statuses.count(200) + 1
    rows: int = stage.buffer._file.execute("SELECT count(*) FROM waiting").fetchone()[0]
    assert rows == stage.buffer.count


async def test_what_kafka_has_is_not_published_again_and_again_while_the_disk_refuses_to_forget_it(
    stage: Stage,
) -> None:
    stage.kafka.away = True
    for number in range(3):
        await stage.ask(Purpose.OPEN, message_id=f"m-{number}")
    stage.buffer._file.execute("PRAGMA query_only = 1")  # as a full disk: it can be read
    stage.kafka.away = False

    async with draining(stage):
        await eventually_async(lambda: stage.buffer._failures >= 3, within_s=20)
        assert sorted(each.message_id for each in stage.kafka.events()) == ["m-0", "m-1", "m-2"]
        stage.buffer._file.execute("PRAGMA query_only = 0")
        await eventually_async(lambda: stage.buffer.count == 0, within_s=10)

    assert len(stage.kafka.events()) == 3


async def test_what_waits_follows_though_the_disk_refused_to_give_it_once(stage: Stage) -> None:
    stage.kafka.away = True
    await stage.ask(Purpose.OPEN)
    stage.buffer._file.execute("ALTER TABLE waiting RENAME TO unreadable")  # as a disk that cannot be read
    stage.kafka.away = False

    async with draining(stage):
        await eventually_async(lambda: stage.buffer._failures, within_s=10)
        stage.buffer._file.execute("ALTER TABLE unreadable RENAME TO waiting")
        await eventually_async(lambda: stage.buffer.count == 0, within_s=10)

    assert len(stage.kafka.events()) == 1


async def test_a_file_that_is_no_buffer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.sqlite").write_bytes(b"no database at all, but long enough to be read as one" * 100)

    with pytest.raises(BufferTaken, match=sqlite3.DatabaseError.__name__):
        Buffer(tmp_path / "bad.sqlite", 1_000)


async def test_an_unsubscribe_is_a_suppression_and_an_event(stage: Stage) -> None:
    answers = [await stage.ask(Purpose.UNSUBSCRIBE, "POST", ONE_CLICK) for _ in range(2)]

    assert [each.status for each in answers] == [200, 200]
    [(first, control), (second, _)] = stage.kafka.controls()
    assert first == second
    assert (control.kind, control.scope, control.address_hash, control.cause) == (
        "suppression",
        "marketing",
        "ab" * 16,
        "unsubscribed",
    )
    assert (control.campaign_id, control.until_ms, control.message_id) == (None, None, "m-1")
    assert [(each.type, each.scope, each.repeated) for each in stage.kafka.events()] == [
        ("unsubscribed", "marketing", False),
        ("unsubscribed", "marketing", True),
    ]


async def test_an_unsubscribe_from_a_campaign_names_it(stage: Stage) -> None:
    await stage.ask(Purpose.UNSUBSCRIBE, "POST", ONE_CLICK, scope="campaign")

    [(_, control)] = stage.kafka.controls()
    assert (control.scope, control.campaign_id) == ("campaign", "spring")


async def test_an_unsubscribe_that_kafka_does_not_take_is_not_acknowledged(stage: Stage) -> None:
    stage.kafka.away = True
    refused = await stage.ask(Purpose.UNSUBSCRIBE, "POST", ONE_CLICK)
    stage.kafka.away = False
    taken = await stage.ask(Purpose.UNSUBSCRIBE, "POST", ONE_CLICK)

    assert (refused.status, dict(refused.headers)["retry-after"], taken.status) == (503, "60", 200)
    assert stage.buffer.count == 0
    assert [each.repeated for each in stage.kafka.events()] == [False]


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [("GET", b"", 200), ("HEAD", b"", 200), ("POST", b"", 400), ("POST", b"x=y", 400), ("PUT", ONE_CLICK, 405)],
)
async def test_nothing_else_unsubscribes(stage: Stage, method: str, body: bytes, status: int) -> None:
    answer = await stage.ask(Purpose.UNSUBSCRIBE, method, body)

    assert (answer.status, stage.kafka.records) == (status, [])


async def test_webhooks_are_handed_on_and_answered_as_they_say(stage: Stage) -> None:
    for status in (204, 401, 404, 503):
        stage.hooks.status = status
        answer = await stage.answer(Asking("POST", "/w/Mailgun", b"report"))
        assert answer.status == status

    assert stage.hooks.taken == [("Mailgun", b"report")] * 4
    assert (await stage.answer(Asking("GET", "/w/Mailgun"))).status == 405


async def test_the_body_of_a_call_for_no_provider_is_not_read(stage: Stage) -> None:
    asking = Asking("POST", "/w/Nobody", b"x" * 1_000)

    assert (await stage.answer(asking)).status == 404
    assert asking.reads == 0
    assert stage.hooks.taken == []
