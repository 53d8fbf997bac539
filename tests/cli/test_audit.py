"""`commproc audit` finds nothing where a processor did its work, and whatever was broken on purpose."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import count
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from processor.core.events import DeliveryEvent, RetryEvent
from processor.core.plan import DAY_MS
from processor.core.words import Lane, Purpose, Reason, Status
from tests.cli.command import Ran, commproc
from tests.support.cluster import fresh
from tests.support.ledgers import Asked
from tests.support.plant import PASSWORD, PROPERTY, RECIPIENT, SUBJECT, TEXT, Plant, message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SECRETS = (TEXT, SUBJECT, PASSWORD, PROPERTY, RECIPIENT)
NOW_MS = time.time_ns() // 1_000_000


def run(plant: Plant, *words: str) -> Ran:
    return commproc("audit", *words, config=plant.config, environ=plant.environ)


def audited(plant: Plant, *words: str) -> tuple[int, dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the exit code, the promises by name, and everything."""
    ran = run(plant, "--json", *words)
    assert ran.out, ran.err
    found = json.loads(ran.out)
    return ran.code, {each["name"]: each for each in found["promises"]}, found


def broken(promises: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {name: each["found"] for name, each in promises.items() if each["verdict"] == "BROKEN"}


def noted(plant: Plant, folder: Path) -> list[str]:
    """Return the options that name the other ledgers of *plant*, and secrets to look for."""
    asked, secrets = folder / "asked.jsonl", folder / "secrets.txt"
    lines = [
        json.dumps({**origin._asdict(), "message_id": None if each.head is None else each.head.message_id})
        for origin, each in plant.asked.items()
    ]
    asked.write_text("\n".join(lines))
    secrets.write_text("\n".join(SECRETS))
    outputs = [word for log in plant.logs for word in ("--output", str(log))]
    return ["--asked", str(asked), "--calls", str(ledger(plant)), "--secrets", str(secrets), *outputs]


def ledger(plant: Plant) -> Path:
    return plant.folder / "ledger.jsonl"


def mixed(word: str, number: int) -> list[Any]:
    """Return messages that end in every way."""
    return [
        message(f"{word}-{number}-sent", "SMS"),
        message(f"{word}-{number}-mail", cc=["copy@example.com"]),
        message(f"{word}-{number}-otp", "SMSOTP", purpose=Purpose.OTP),
        message(f"{word}-{number}-again", to="defer-451-1x@example.com"),
        message(f"{word}-{number}-late", start_at_ms=time.time_ns() // 1_000_000 + 1_200),
        message(f"{word}-{number}-bounced", to="bounce-550@example.com"),
        message(f"{word}-{number}-cut", to="drop-after-dot-1x@example.com"),
        message(f"{word}-{number}-refused", priority=10),
        message(f"{word}-{number}-over", end_at_ms=1_000_000_000_000),
        message(f"{word}/{number}"),
    ]


def test_a_run_that_did_everything_keeps_every_promise(running: Plant, tmp_path: Path) -> None:
    word = fresh("kept")
    running.ask(each for number in range(5) for each in mixed(word, number))
    running.put(b"not a record", Asked(None), running.names.outbound)
    running.put(None, Asked(None), running.names.express)
    running.flush()
    running.drained(within_s=30)

    code, promises, found = audited(running, "--drained", *noted(running, tmp_path))

    assert broken(promises) == {}
    assert {each["verdict"] for each in promises.values()} == {"holds"}
    assert (code, found["holds"]) == (0, True)
    assert (found["records"], found["results"]) == (len(running.asked), len(running.asked) - 2)
    assert found["attempts_in_doubt"] == promises["accepted_twice"]["found"] == 5
    assert found["files_searched"] == len(running.logs)
    told = run(running, *noted(running, tmp_path))
    assert told.lines[-1].endswith("Every promise holds.")
    assert not [canary for canary in SECRETS if canary in told.out + told.err]


def test_what_waits_is_counted_and_is_a_breach_only_where_all_should_be_done(running: Plant) -> None:
    far = message(fresh("far"), start_at_ms=time.time_ns() // 1_000_000 + 90 * DAY_MS)
    running.ask([far])
    running.drained(within_s=30, waiting=[far.head.message_id])

    code, promises, found = audited(running)
    drained, strictly, _ = audited(running, "--drained")

    assert (code, promises["still_waiting"]["verdict"]) == (0, "not checked")
    assert list(found["waiting"].values()) == [1]
    assert (drained, broken(strictly)) == (1, {"still_waiting": 1})
    for origin in [origin for origin, asked in running.asked.items() if asked.message_id == far.head.message_id]:
        del running.asked[origin]  # it outlives this test


def test_what_is_not_given_is_not_checked_and_says_what_it_needs(running: Plant) -> None:
    ran = run(running)

    assert ran.code == 0
    assert ran.out.count("not checked: needs --calls") == 11
    assert ran.out.count("not checked: needs --asked") == ran.out.count("not checked: needs --secrets") == 1


@pytest.mark.slow
def test_beside_a_processor_at_work_nothing_seems_lost(running: Plant) -> None:
    word, done = fresh("live"), Event()

    def ask() -> None:
        for number in count():
            if done.wait(0.05):
                return
            running.ask(mixed(word, number))

    asking = Thread(target=ask)
    asking.start()
    try:
        found = [audited(running) for _ in range(2)]
    finally:
        done.set()
        asking.join()
    running.drained(within_s=60)

    assert [broken(promises) for _, promises, _ in found] == [{}] * 2
    assert [code for code, _, _ in found] == [0] * 2
    assert found[-1][2]["records"] > found[0][2]["records"]


def test_only_what_was_asked_since_an_instant_is_judged(running: Plant) -> None:
    running.ask([message(fresh("before"))])
    running.drained(within_s=30)
    since = datetime.now(UTC)  # noqa: TID251 - the instant of this test
    running.ask([message(fresh("since"))])
    running.drained(within_s=30)

    code, promises, found = audited(running, "--since", since.isoformat())

    assert (code, found["records"]) == (0, 1)
    assert promises["phantom_result"]["verdict"] == "not checked"


def changed(plant: Plant, folder: Path, change: Sequence[dict[str, Any]]) -> str:
    """Return the path of a copy of the providers' ledger with *change* behind it."""
    copy = folder / "changed.jsonl"
    lines = "".join(json.dumps(each) + "\n" for each in change)
    copy.write_bytes(ledger(plant).read_bytes() + lines.encode())
    return str(copy)


def test_what_providers_received_and_should_not_have_is_found(running: Plant, tmp_path: Path) -> None:
    word, now_ms = fresh("called"), time.time_ns() // 1_000_000
    hour_ms = now_ms % DAY_MS - now_ms % 3_600_000 % DAY_MS
    asked = [
        message(f"{word}-twice"),
        message(f"{word}-otp", "SMSOTP", purpose=Purpose.OTP),
        message(f"{word}-early", start_at_ms=now_ms),
        message(f"{word}-end", end_at_ms=now_ms + 600_000),
        message(f"{word}-window", interval_min_ms=hour_ms, interval_max_ms=(hour_ms + 2 * 3_600_000) % DAY_MS),
        message(f"{word}-failed", to="bounce-550@example.com"),
    ]
    running.ask(asked)
    running.drained(within_s=30)
    calls = {each["message_id"]: each for each in map(json.loads, ledger(running).read_text().splitlines())}
    twice, otp, failed = (calls[f"{word}-{which}"] for which in ("twice", "otp", "failed"))

    planted = [
        twice,
        otp | {"attempt": 2},
        calls[f"{word}-early"] | {"attempt": 2, "first_byte_ms": now_ms - 1, "accepted": False},
        calls[f"{word}-end"] | {"attempt": 2, "first_byte_ms": now_ms + 601_000, "accepted": False},
        calls[f"{word}-window"] | {"attempt": 2, "first_byte_ms": now_ms + 12 * 3_600_000, "accepted": False},
        failed | {"attempt": 2, "accepted": True},
        twice | {"message_id": "never-asked"},
        twice | {"message_id": None},
    ]
    code, promises, _ = audited(running, "--calls", changed(running, tmp_path, planted))

    assert code == 1
    assert broken(promises) == {
        "called_twice": 1,
        "accepted_twice": 1 + 1 + promises["accepted_twice"]["allowed"],
        "password_twice": 1,
        "early": 1,
        "late": 1,
        "outside": 1,
        "sent_unsaid": 1,
        "untold": 5,  # no event tells of a second attempt
        "phantom_call": 2,
    }
    assert promises["called_twice"]["examples"] == [f"{word}-twice: attempt 1"]


def test_a_provider_that_forgot_a_call_is_found(running: Plant, tmp_path: Path) -> None:
    asked = message(fresh("forgotten"))
    running.ask([asked])
    running.drained(within_s=30)
    kept = [line for line in ledger(running).read_text().splitlines() if asked.head.message_id not in line]
    file = tmp_path / "less.jsonl"
    file.write_text("\n".join([*kept, ""]))

    code, promises, _ = audited(running, "--calls", str(file))

    assert (code, broken(promises)) == (1, {"unfounded": 1})


def delivery(message_id: str, **more: Any) -> DeliveryEvent:
    """Return an event of a message that was sent, as a processor would publish it."""
    sent = DeliveryEvent(
        fresh("e"), message_id, None, 1, NOW_MS, "Email", "Mail", None, Lane.NORMAL, Status.SENT, True, Reason.ACCEPTED
    )
    return sent._replace(**more)


class Forged:
    """A processor that never ran: what it might have left on its topics is written here."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.producer = plant.cluster.producer()

    def asked(self, *message_ids: str) -> None:
        """Ask, and let intake have read past it."""
        names, cluster = self.plant.names, self.plant.cluster
        self.plant.ask(map(message, message_ids))
        places = cluster.places([names.outbound])
        cluster.commit(names.group("intake", "rest"), {place: (end, "") for place, end in cluster.ends(places).items()})

    def told(self, *events: DeliveryEvent | RetryEvent) -> None:
        encode = self.plant.codecs.events
        for event in events:
            of_retry = isinstance(event, RetryEvent)
            topic = self.plant.names.retry if of_retry else self.plant.names.delivery
            value = encode.encode_retry(event) if isinstance(event, RetryEvent) else encode.encode_delivery(event)
            self.put(topic, event.message_id, value)

    def put(self, topic: str, key: str, value: bytes, **headers: bytes) -> None:
        self.producer.produce(topic, value, key.encode(), headers=dict(headers))
        assert self.producer.flush(30) == 0


@pytest.fixture
def forged(idle: Plant) -> Forged:
    return Forged(idle)


def test_what_the_topics_should_not_say_is_found(forged: Forged, tmp_path: Path) -> None:
    forged.asked("kept", "lost", "doubled", "ended-twice", "unburied", "tried")
    doubled, tried = delivery("doubled"), delivery("tried")
    retry = RetryEvent(
        "r", "tried", None, 1, 1, NOW_MS, "Email", "Mail", None, Lane.NORMAL, Reason.PROVIDER_DEFERRED, NOW_MS
    )
    forged.told(
        delivery("kept"),
        doubled,
        doubled,
        delivery("ended-twice"),
        delivery("ended-twice", attempt=2),
        delivery("unburied", status=Status.FAILED, reason=Reason.PROVIDER_REJECTED),
        retry,
        tried,
        delivery("never-asked"),
    )
    asked = tmp_path / "asked.jsonl"
    asked.write_text(
        json.dumps({"topic": forged.plant.names.outbound, "partition": 0, "offset": 4_711, "message_id": "kept"})
    )

    code, promises, found = audited(forged.plant, "--asked", str(asked))

    assert code == 1
    assert broken(promises) == {
        "lost": 1,
        "unwritten": 1,
        "ended_twice": 2,
        "event_twice": 1,
        "attempt_twice": 2,
        "phantom_result": 1,
        "unburied": 1,
    }
    assert promises["lost"]["examples"][0].startswith("lost from ")
    assert (found["records"], found["results"]) == (6, 8)


def test_an_event_that_cannot_be_read_is_no_kept_promise(forged: Forged) -> None:
    forged.put(forged.plant.names.delivery, "m", b"\xc3\x01 none of ours")

    code, promises, found = audited(forged.plant)

    assert (code, broken(promises), found["unreadable_events"]) == (1, {}, 1)


def test_a_secret_is_told_by_its_place_and_its_line_and_never_shown(forged: Forged, tmp_path: Path) -> None:
    names, word = forged.plant.names, 'canary "quoted" 4711'
    forged.asked("kept")
    forged.told(delivery("kept", provider_code="canary-code-1"))
    forged.put(
        names.send("Mail", Lane.NORMAL), "canary-key-1", b"canary-code-1 may be in a body", told=b"canary-header-1"
    )
    metadata = "Y2FuYXJ5"
    forged.plant.cluster.commit(names.group("dispatch", "rest"), {(names.send("Mail", Lane.HIGH), 0): (0, metadata)})
    logs = tmp_path / "logs"
    (logs / "deep").mkdir(parents=True)
    (logs / "deep" / "one.log").write_text("x" * (1 << 20) + json.dumps({"text": word}))
    (logs / "two.log").write_text("nothing")
    secrets = tmp_path / "secrets.txt"
    secrets.write_text(f"canary-code-1\n\ncanary-key-1\ncanary-header-1\n{metadata}\n{word}\nelsewhere")

    words = ("--secrets", str(secrets), "--output", str(logs))
    code, promises, found = audited(forged.plant, *words)

    assert (code, broken(promises), found["files_searched"]) == (1, {"secrets": 5}, 2)
    told = " ".join(promises["secrets"]["examples"])
    assert [f"the secret of line {number}" in told for number in (1, 3, 4, 5, 6, 7)] == [True] * 5 + [False]
    ran = run(forged.plant, *words)
    assert not [canary for canary in ("canary", metadata, word) if canary in ran.out + ran.err + told]


def test_a_journal_that_is_lost_leaves_nothing_done(forged: Forged) -> None:
    forged.plant.ask([message("held")])

    code, promises, found = audited(forged.plant)

    assert (code, broken(promises), found["waiting"]) == (0, {}, {forged.plant.names.outbound: 1})


def test_what_lies_behind_an_open_transaction_is_not_said_to_be_missing(forged: Forged, tmp_path: Path) -> None:
    plant = forged.plant
    foreign = plant.cluster.producer(**{"transactional.id": fresh("foreign")})
    foreign.init_transactions(20)
    foreign.begin_transaction()
    for topic, number in plant.cluster.places([plant.names.outbound]):
        foreign.produce(topic, b"nobody reads this yet", partition=number)
    foreign.flush(20)
    plant.ask([message("behind")])

    code, promises, _ = audited(plant, *noted(plant, tmp_path))
    foreign.abort_transaction(20)
    after, _, found = audited(plant, *noted(plant, tmp_path))

    assert (code, broken(promises)) == (0, {})
    assert promises["unwritten"]["verdict"] == "holds"
    assert (after, found["records"]) == (0, 1)


def test_an_acknowledged_record_that_its_topic_has_never_reached_is_missing(forged: Forged, tmp_path: Path) -> None:
    plant = forged.plant
    plant.ask([message("there")])
    (origin, asked), *_ = plant.asked.items()
    plant.asked[origin._replace(offset=origin.offset + 5)] = asked

    code, promises, _ = audited(plant, *noted(plant, tmp_path))

    assert (code, broken(promises)) == (1, {"unwritten": 1})


def changed_config(plant: Plant, section: str, **changes: str) -> Path:
    """Return a copy of the plant's configuration with *changes*."""
    text = json.loads(plant.config.read_text())
    text[section] |= changes
    copy = plant.folder / f"{section}.yaml"
    copy.write_text(json.dumps(text))
    return copy


def test_a_prefix_without_topics_is_wrong_input(running: Plant) -> None:
    config = changed_config(running, "topics", prefix="nobodys")

    ran = commproc("audit", config=config, environ=running.environ)

    assert (ran.code, ran.out) == (2, "")
    assert "nobodys.outbound is missing" in ran.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--since", "yesterday"), "--since: write an instant"),
        (("--since", "+5m"), "--since: write an instant that has been"),
        (("--since", "2020-01-01T00:00:00Z"), "--since: events are kept for 720 h (topics.events_retention)"),
        (("--calls", "nowhere.jsonl"), "nowhere.jsonl cannot be read (FileNotFoundError)"),
        (("--asked", "nowhere.jsonl"), "nowhere.jsonl cannot be read (FileNotFoundError)"),
        (("--secrets", "nowhere.txt"), "--secrets cannot be read as UTF-8 text (FileNotFoundError)"),
        (("--output", "."), "--output: write --secrets as well"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_said(running: Plant, words: tuple[str, ...], told: str) -> None:
    ran = run(running, *words)

    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


@pytest.mark.parametrize("option", ["--asked", "--calls"])
def test_a_line_that_cannot_be_read_ends_it(running: Plant, tmp_path: Path, option: str) -> None:
    file = tmp_path / "wrong.jsonl"
    file.write_text('{"topic": "comm.outbound"}\n')

    ran = run(running, option, str(file))

    assert (ran.code, ran.out) == (2, "")
    assert "line" in ran.err


def test_kafka_that_is_away_is_no_breach(running: Plant) -> None:
    config = changed_config(running, "kafka", bootstrap="127.0.0.1:9")

    ran = commproc("audit", config=config, environ=running.environ)

    assert (ran.code, ran.out) == (2, "")
    assert Counter(ran.err)["\n"] == 1
