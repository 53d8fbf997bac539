"""Recall and suppress against a running processor: what they print is what the events say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from processor.core.words import Purpose, Status
from tests.cli.command import Ran, commproc
from tests.support.cluster import fresh
from tests.support.controls import heard, now_ms
from tests.support.eventually import eventually
from tests.support.plant import message

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.plant import Plant

LOCAL = "canary-local-7709"


def run(plant: Plant, *words: str, given: bytes = b"") -> Ran:
    ran = commproc(*words, config=plant.config, environ=plant.environ, given=given)
    assert LOCAL not in ran.out + ran.err
    return ran


def statuses(plant: Plant) -> dict[str, Status]:
    plant.drained(within_s=30)
    return {each.message_id: each.status for each in plant.check().delivery}


def test_a_recall_prints_how_many_it_stopped_and_how_many_were_too_late(running: Plant) -> None:
    word = fresh("recalled")
    ended = [message(f"{word}-{number}", campaign_id=word) for number in range(7)]
    refused = message(f"{word}-bounced", to="bounce-550@example.com", campaign_id=word)
    running.ask([*ended, refused])
    running.drained(within_s=30)
    running.ask(message(f"{word}-slow-{n}", to="slow-1s@example.com", campaign_id=word) for n in range(300))
    eventually(lambda: running.ended(f"{word}-slow"), within_s=20)

    ran = run(running, "recall", "--campaign", word, "--json", "--within", "20")

    running.drained(within_s=30)
    found = [each.status for each in running.check().delivery if each.campaign_id == word]
    assert json.loads(ran.out) == {
        "scope": "campaign",
        "stopped": found.count(Status.CANCELLED),
        "too_late": found.count(Status.SENT),
        "perhaps_sent": 0,
        "ended_otherwise": 1,
        "complete": True,
    }
    assert found.count(Status.CANCELLED) > 0
    assert found.count(Status.SENT) > 7
    again = run(running, "recall", "--campaign", word)
    assert (
        again.lines[-1] == f"stopped {found.count(Status.CANCELLED)}, too late {found.count(Status.SENT)}, otherwise 1"
    )


def test_a_recall_that_is_taken_back_lets_later_messages_go(running: Plant) -> None:
    word = fresh("back")
    run(running, "recall", "--message", f"{word}-1", "--within", "0")
    run(running, "recall", "--campaign", word, "--until", "+1h", "--within", "0")
    heard_before = running.metric("dispatch", "comm_controls", kind="recall")
    run(running, "recall", "--campaign", word, "--undo")
    heard(running, "recall", int(heard_before) - 1)

    running.ask([message(f"{word}-{number}", campaign_id=word) for number in (1, 2)])

    found = statuses(running)
    assert (found[f"{word}-1"], found[f"{word}-2"]) == (Status.CANCELLED, Status.SENT)


def test_an_address_is_suppressed_and_taken_off_again_and_never_shown(running: Plant) -> None:
    word, address = fresh("listed"), f"{LOCAL}@example.com"
    marketing = {"to": address, "purpose": Purpose.MARKETING}

    ran = run(running, "suppress", address)
    heard(running, "suppression", 1)
    running.ask([message(f"{word}-1", **marketing), message(f"{word}-2", to=address)])  # type: ignore[arg-type]
    found = statuses(running)
    assert (ran.code, ran.out) == (0, "1 suppressed\n")
    assert (found[f"{word}-1"], found[f"{word}-2"]) == (Status.SUPPRESSED, Status.SENT)

    assert run(running, "suppress", address.upper(), "--undo").out == "1 taken off\n"
    heard(running, "suppression", 0)
    running.ask([message(f"{word}-3", **marketing)])  # type: ignore[arg-type]
    assert statuses(running)[f"{word}-3"] is Status.SENT
    assert LOCAL not in running.output()
    keys = [record.key() or b"" for record in running.cluster.read([running.names.control])]
    assert not [key for key in keys if LOCAL.encode() in key.lower()]


def test_a_file_of_addresses_is_taken_and_its_wrong_lines_are_named(idle: Plant) -> None:
    lines = [f"{LOCAL}@example.com", "", f"{LOCAL} at example.com", "+40700000123", "12"]

    ran = run(idle, "suppress", "--file", "-", given="\r\n".join(lines).encode())

    assert ran.code == 1
    assert ran.out == "2 suppressed, 2 wrong\n"
    assert [line.partition(":")[0] for line in ran.err.splitlines()] == ["line 3", "line 5"]
    assert len(idle.cluster.read([idle.names.control])) == 2


def test_ten_thousand_addresses_reach_the_topic(idle: Plant, tmp_path: Path) -> None:
    file = tmp_path / "left.txt"
    file.write_text("".join(f"{LOCAL}-{number}@example.com\n" for number in range(10_000)))

    ran = run(idle, "suppress", "--file", str(file), "--until", "+30d")

    assert (ran.code, ran.out) == (0, "10000 suppressed\n")
    records = idle.cluster.read([idle.names.control])
    assert len({record.key() for record in records}) == 10_000
    control = idle.codecs.events.decode_event(records[-1].value())
    assert abs(control.until_ms - now_ms() - 30 * 86_400_000) < 120_000  # type: ignore[union-attr, operator]


@pytest.mark.parametrize(
    ("words", "write"),
    [
        (("recall",), "Write one of --campaign, --message and --channel."),
        (("recall", "--campaign", "a", "--channel", "SMS"), "Write one of"),
        (("recall", "--channel", "Fax"), "--channel: write one of Email, SMS, SMSOTP"),
        (("recall", "--message", "no id"), "--message: write 1 to 64"),
        (("recall", "--campaign", "a", "--until", "2020-01-01T00:00:00Z"), "--until: write an instant"),
        (("recall", "--campaign", "a", "--until", "soon"), "--until: write an instant with its zone"),
        (("suppress",), "Write either an address, or --file."),
        (("suppress", "a@example.com", "--campaign", "a"), "--campaign: write the campaign's id with --scope campaign"),
        (("suppress", "a@example.com", "--scope", "campaign"), "--campaign: write the campaign's id"),
        (("suppress", "--file", "nowhere.txt"), "--file cannot be read (FileNotFoundError)"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_done(running: Plant, words: tuple[str, ...], write: str) -> None:
    places = [(running.names.control, 0)]
    before = running.cluster.ends(places)

    ran = run(running, *words)

    assert (ran.code, ran.out) == (2, "")
    assert write in ran.err
    assert running.cluster.ends(places) == before


IN_PRODUCTION = """
environment: production
kafka: { bootstrap: "127.0.0.1:9", security_protocol: SSL }
providers:
  Api:
    adapter: http
    bus_provider: Bus
    bus_channel: SMS
    url: https://sms.example.com
    recipient_kind: phone
    body: { to: "{{ to }}", text: "{{ text }}" }
channels:
  SMS: { name: Text, action: SMS, bus_channel: SMS, bus_provider: Bus, provider: Api }
"""


def test_production_lists_no_address_under_a_key_that_everybody_knows(tmp_path: Path) -> None:
    config = tmp_path / "commproc.yaml"
    config.write_text(IN_PRODUCTION)

    ran = commproc("suppress", f"{LOCAL}@example.com", config=config)

    assert (ran.code, ran.out) == (2, "")
    assert "suppression.key is missing" in ran.err
    assert LOCAL not in ran.err
