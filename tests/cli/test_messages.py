"""Send, show and tail against a running processor, a real broker and the sandbox."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from confluent_kafka import TopicPartition

from processor.core.words import Reason, Status
from tests.cli.command import Ran, commproc
from tests.kafka.owners import seated
from tests.support.cluster import fresh
from tests.support.eventually import eventually
from tests.support.ledgers import Asked
from tests.support.plant import PASSWORD, message

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.plant import Plant

TEXT = "canary-text-5772"
SUBJECT = "canary-subject-1566"
LOCAL = "canary-local-4902"
PROPERTY = "canary-property-1534"


def run(plant: Plant, *words: str, given: bytes = b"") -> Ran:
    ran = commproc(*words, config=plant.config, environ=plant.environ, given=given)
    for canary in (TEXT, SUBJECT, LOCAL, PROPERTY, PASSWORD):
        assert canary not in ran.out + ran.err
    return ran


def send(plant: Plant, *words: str, channel: str = "Email", to: str = f"{LOCAL}@example.com") -> Ran:
    return run(plant, "send", "--channel", channel, "--to", to, "--text", TEXT, *words)


def shown(plant: Plant, message_id: str) -> dict[str, Any]:
    ran = run(plant, "show", message_id, "--json")
    assert ran.out, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


def settled(plant: Plant, message_id: str, status: Status) -> dict[str, Any]:
    """Return what `show` says once a message has *status*."""
    return eventually(
        lambda: found if (found := shown(plant, message_id))["status"] == status else {}, within_s=30, what=message_id
    )


def test_a_message_is_sent_shown_and_followed(running: Plant) -> None:
    sent = send(running, "--subject", SUBJECT, "--property", f"p={PROPERTY}", "--external-id", "order-1")
    [message_id] = sent.lines

    found = settled(running, message_id, Status.SENT)

    assert sent.code == 0
    assert "1 acknowledged" in sent.err
    [event] = found["events"]
    assert (event["kind"], event["attempt"], event["external_id"]) == ("delivery", 1, "order-1")
    assert found["complete"]
    assert found["waiting"] == []
    [entry] = [entry for entry in running.sandbox.entries() if entry.message_id == message_id]
    assert entry.recipients == (f"{LOCAL}@example.com",)
    tailed = run(running, "tail", "--from", "beginning", "--no-follow", "--json")
    assert event in [json.loads(line) for line in tailed.lines]


def test_attempts_are_shown_in_the_order_of_time(running: Plant) -> None:
    message_id = fresh("twice")
    send(running, "--message-id", message_id, to="defer-451-1x@example.com")

    found = settled(running, message_id, Status.SENT)

    assert [(each["kind"], each["attempt"]) for each in found["events"]] == [("retry", 1), ("delivery", 2)]
    plain = run(running, "show", message_id)
    assert plain.lines[0] == f"{message_id}: SENT"
    assert plain.out.index("provider_deferred (451") < plain.out.index("accepted (250")


def test_a_dead_letter_is_shown_without_its_content(running: Plant) -> None:
    message_id = fresh("bounced")
    send(running, "--message-id", message_id, to=f"bounce-550+{LOCAL}@example.com")

    found = settled(running, message_id, Status.FAILED)

    assert [each["kind"] for each in found["events"]] == ["delivery", "dead-letter"]
    letter = found["events"][1]
    assert "value" not in letter
    assert letter["value_size"] > len(TEXT)
    assert letter["origin_topic"] == running.names.outbound
    limited = run(running, "tail", "--topic", "dead-letter", "--from", "beginning", "--limit", "1")
    assert "dead letter" in limited.lines[0]


def test_a_message_that_waits_is_shown_where_it_waits(running: Plant) -> None:
    message_id = fresh("later")
    send(running, "--message-id", message_id, "--start-at", "+2h")

    found = eventually(
        lambda: found if (found := shown(running, message_id))["waiting"][0]["state"] == "delayed" else {},
        within_s=20,
    )

    assert found["status"] == "waiting"
    [place] = found["waiting"]
    assert re.fullmatch(rf"{running.names.prefix}\.delay\.rest\.\d+", place["topic"])
    assert "delayed" in run(running, "show", message_id).out


def test_a_password_takes_the_express_way_without_being_told(running: Plant) -> None:
    message_id = fresh("code")
    send(running, "--message-id", message_id, channel="SMSOTP", to="+40700000111")

    found = settled(running, message_id, Status.SENT)

    assert found["events"][0]["lane"] == "express"
    keys = [record.key() for record in running.cluster.read([running.names.express])]
    assert message_id.encode() in keys


def test_an_id_that_nobody_has_sent_is_told(running: Plant) -> None:
    ran = run(running, "show", "nobody-sent-this")

    assert ran.code == 1
    assert "Nothing is known of this message id" in ran.out
    assert run(running, "show", "not an id").code == 2


def test_a_file_is_sent_and_its_wrong_lines_are_named(running: Plant, tmp_path: Path) -> None:
    good = [{"message_id": fresh("file"), "channel": "Email", "to": f"{LOCAL}@example.com", "text": TEXT}] * 2
    wrong = [
        {"message_id": LOCAL + " ", "channel": "Email", "to": "a@example.com"},
        {"message_id": "x", "channel": TEXT, "to": "a@example.com"},
        {"message_id": "x", "channel": "Email", "to": "a@example.com", "time_zone": TEXT},
        {"message_id": "x", "channel": "Email", "to": "a@example.com", "text": TEXT * 200_000},
    ]
    file = tmp_path / "messages.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in (good[0], *wrong, good[1])))

    ran = run(running, "send", "--file", str(file))

    assert ran.code == 1
    assert ran.lines == [good[0]["message_id"]] * 2
    assert ran.err.splitlines() == [
        "line 2: message_id: write 1 to 64 of A-Z a-z 0-9 . _ : -",
        "line 3: channel: write one of Email, SMS, SMSOTP",
        "line 4: time_zone: write an IANA name, such as Europe/Bucharest",
        "line 5: message: is larger than limits.message_bytes_max, 2097152 bytes",
        "2 acknowledged, 4 failed",
    ]


def test_a_csv_comes_through_a_pipe(running: Plant) -> None:
    ids = [fresh("csv") for _ in range(300)]
    lines = ["message_id,channel,to,text,priority", *(f'{each},SMS,+40700000111,"{TEXT}",3' for each in ids)]

    ran = run(running, "send", "--file", "-", "--format", "csv", "--quiet", given="\n".join(lines).encode())

    assert (ran.code, ran.out) == (0, "")
    assert "300 acknowledged" in ran.err
    for message_id in (ids[0], ids[-1]):
        settled(running, message_id, Status.SENT)


def test_a_message_is_given_either_by_flags_or_by_a_file(running: Plant) -> None:
    for words in ((), ("--file", "-", "--to", "a@example.com")):
        ran = run(running, "send", *words)

        assert ran.code == 2
        assert "either --file, or --channel and --to" in ran.err


def test_what_is_not_committed_yet_is_not_judged_yet(idle: Plant) -> None:
    message_id = fresh("unread")
    send(idle, "--message-id", message_id)

    found = shown(idle, message_id)

    assert found["status"] == "waiting"
    assert [(each["topic"], each["state"]) for each in found["waiting"]] == [(idle.names.outbound, "not judged yet")]


def test_what_is_not_judged_yet_is_found_whatever_its_key_is(idle: Plant) -> None:
    message_id = fresh("keyed")
    value = idle.codecs.outbound.encode_message(message(message_id))
    idle.put(value, Asked(message_id), idle.names.outbound, key=b"another")
    idle.put(None, Asked(None), idle.names.outbound, key=b"another")
    idle.flush()

    assert shown(idle, message_id)["status"] == "waiting"
    assert shown(idle, "another")["status"] == "unknown"


def test_what_is_known_is_shown_where_a_transaction_that_nobody_ends_hides_the_rest(idle: Plant) -> None:
    group = idle.names.group("intake", "rest")
    hung = idle.cluster.producer(**{"transactional.id": fresh("hung")})
    hung.init_transactions(20)
    hung.begin_transaction()
    with seated(idle.cluster.connection, group, [idle.names.outbound]) as member:
        member.polled_until(lambda: member.witness.owned)
        place = min(member.witness.owned)
        hung.send_offsets_to_transaction([TopicPartition(*place, 0)], member.member.metadata(), 20)
    message_id = fresh("hidden")
    send(idle, "--message-id", message_id)

    ran = run(idle, "show", message_id, "--within", "1")
    told = run(idle, "show", message_id, "--within", "1", "--json")
    hung.abort_transaction(20)

    assert (ran.code, ran.err) == (1, "")
    assert ran.lines[0] == f"{message_id}: unknown"
    assert f"cannot be told now: {group}: what is committed for {place}" in ran.out
    assert json.loads(told.out)["complete"] is False


def test_a_message_that_is_asked_for_again_keeps_its_status_and_is_said_to_be(running: Plant) -> None:
    message_id = fresh("again")
    for words in ((), (), ("--start-at", "+1h")):
        send(running, "--message-id", message_id, *words)

    found = eventually(
        lambda: found if sum((found := shown(running, message_id))["repeats"].values()) == 2 else {}, within_s=30
    )

    assert found["repeats"] == {Reason.SAME_CONTENT: 1, Reason.OTHER_CONTENT: 1}
    settled(running, message_id, Status.SENT)
    told = run(running, "show", message_id).lines[0]
    assert told == f"{message_id}: SENT (asked for again 2 times, 1 of them with other content; not sent again)"


def test_a_message_that_waits_still_waits_when_it_is_asked_for_again(running: Plant) -> None:
    message_id = fresh("again")
    for _ in range(2):
        send(running, "--message-id", message_id, "--start-at", "2099-01-01T00:00:00Z")

    found = eventually(
        lambda: found if (found := shown(running, message_id))["repeats"][Reason.SAME_CONTENT] else {}, within_s=30
    )

    assert found["status"] == "waiting"
    assert run(running, "show", message_id).lines[0] == f"{message_id}: waiting (asked for again once; not sent again)"


def test_no_secret_is_in_what_the_processes_wrote(running: Plant) -> None:
    send(running, "--subject", SUBJECT)

    output = running.output()

    assert "process.started" in output
    for canary in (TEXT, SUBJECT, LOCAL, PROPERTY, PASSWORD):
        assert canary not in output
