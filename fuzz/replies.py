"""What providers answer: lines, PDUs, HTTP, and the bodies of their webhooks."""

from __future__ import annotations

import smpp34
import yaml

from fuzz.target import Target, must
from processor.codec.assembly import open_codecs
from processor.core.events import Receipt
from processor.core.message import Head, Message
from processor.providers.adapter import Submission
from processor.providers.http.answer import Mapped, parse
from processor.providers.http.config import HttpConfig
from processor.providers.http.reading import Answer, Malformed, Reading
from processor.providers.smpp import pdu as pdus
from processor.providers.smpp.receipt import is_receipt
from processor.providers.smpp.receipt import parse as receipt_of
from processor.providers.smtp.reply import MALFORMED, Step, outcome, take_reply
from processor.providers.webhooks.reading import Malformed as NoReports
from processor.providers.webhooks.reading import Reader
from processor.providers.webhooks.reports import Reports
from processor.settings.load import load_text

CODE_CHARS_MAX = 16
NOW_MS = 1_764_000_000_000
BODY_BYTES_MAX = 65_536
BATCH = [Submission(Message(Head(f"m-{number}", "SMS"), to="+40722000111", text="Hi"), 1) for number in range(2)]
CONFIG = HttpConfig(
    url="https://gateway.example/send",
    body={},
    recipient_kind="phone",
    provider_message_id="id",
    code="error.code",
    results="messages",
    result_reference="reference",
    segments="parts[0].count",
    codes={"7": "throttled"},
    connect_timeout_ms=1_000,
    answer_timeout_ms=1_000,
)
MAPPED = Mapped.of(CONFIG)


def smtp(data: bytes) -> None:
    """Read a mail server's replies, whole and byte by byte."""
    whole, pieces, found = bytearray(data), bytearray(), []
    while (reply := take_reply(whole)) is not None:
        found.append(reply)
        if reply is MALFORMED:
            break
    one_by_one = []
    for byte in data:
        pieces.append(byte)
        if (reply := take_reply(pieces)) is not None:
            one_by_one.append(reply)
            if reply is MALFORMED:
                break
    must(one_by_one == found, "replies do not depend on how they arrive")
    for reply in found:
        for step in Step:
            outcome(reply, step)
        must(len(str(reply)) <= CODE_CHARS_MAX and str(reply).isascii(), "a code can be shown")


def smpp(data: bytes) -> None:
    """Read PDUs, whole and byte by byte, and what of them are receipts."""
    found, ended = _pdus([data])
    must(_pdus([data[at : at + 1] for at in range(len(data))]) == (found, ended), "PDUs do not depend on arrival")
    for each in found:
        pdus.message_id(each)
        try:
            deliver = smpp34.decode(each.raw)
        except smpp34.SmppError:
            continue
        if isinstance(deliver, smpp34.DeliverSm):
            is_receipt(deliver)
            for ids in ("same", "either", "decimal", "hexadecimal"):
                receipt_of(deliver, ids)


def _pdus(pieces: list[bytes]) -> tuple[list[pdus.Pdu], bool]:
    buffer, found = bytearray(), list[pdus.Pdu]()
    for piece in pieces:
        buffer += piece
        try:
            found.extend(pdus.take_pdus(buffer))
        except pdus.Malformed:
            return found, True
    return found, False


def http(data: bytes) -> None:
    """Read an answer, whole and in two pieces, and what it says of a batch."""
    found = _answer([data])
    half = len(data) // 2
    must(_answer([data[:half], data[half:]]) == found, "an answer does not depend on how it arrives")
    if found is not None:
        must(len(parse(found, BATCH, MAPPED, now_ms=NOW_MS)) == len(BATCH), "each of a batch has an outcome")


def _answer(pieces: list[bytes]) -> Answer | None:
    reading = Reading(BODY_BYTES_MAX)
    try:
        for piece in pieces:
            if piece and (answer := reading.fed(piece)) is not None:
                return answer
    except Malformed:
        return None
    return reading.ended()


WEBHOOK = """
channels: {C: {action: SMS, bus_channel: SMS, bus_provider: Bus, provider: P}}
tracking: {base_url: "https://t.example"}
providers:
  P:
    adapter: http
    bus_channel: SMS
    bus_provider: Bus
    url: https://p.example/
    body: {}
    webhook:
      scheme: hmac
      secret: {env: SECRET}
      header: X-Signature
      embedded: text
      reports: "events[?kept]"
      type: what
      subtype: kind
      event_id: id
      provider_message_id: message
      occurred_at: at
      occurred_in: unix_s
      code: code
      url: link
      user_agent: agent
      echo: echo
      message_id: ours.message_id
      attempt: ours.attempt
      states: {done: delivered, bounce/hard: bounced_hard, seen: opened}
"""
READING = (
    load_text(yaml.safe_dump(yaml.safe_load(WEBHOOK)), name="fuzz", environ={"SECRET": "x" * 32})
    .webhook_configs()["P"]
    .reading
)
READER, REPORTS = Reader(READING), Reports("P", READING)
EVENTS = open_codecs().events


def webhook(data: bytes) -> None:
    """Read the body of a call, and make receipts that our own topic takes and gives back."""
    whole = READER.whole(data)
    reports = whole if isinstance(whole, NoReports) else READER.reports(whole)
    for report in () if isinstance(reports, NoReports) else reports:
        found = REPORTS.receipt(report, {}, now_ms=NOW_MS)
        if isinstance(found, Receipt):
            must(EVENTS.decode_event(EVENTS.encode_receipt(found)) == found, "a receipt can be kept")


DELIVER = smpp34.DeliverSm(
    source_addr="40722000111",
    destination_addr="1234",
    esm_class=4,
    short_message=b"id:00AB7 sub:001 dlvrd:001 submit date:2611261200 done date:2611261201 stat:DELIVRD err:000 text:x",
).encode()

TARGETS = {
    "smtp": Target(smtp, (b"250 2.1.0 ok\r\n", b"250-a\r\n250-b\r\n250 c\r\n", b"451 4.7.1 later\r\n", b"600 x\n")),
    "smpp": Target(smpp, (DELIVER, pdus.plain(0x80000004, body=b"id-1\0") + DELIVER, b"\0\0\0\x0f" + bytes(12))),
    "http": Target(
        http,
        (
            b'HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n{"messages":[{"reference":"m-1","id":"x-1"}]}',
            b"HTTP/1.1 429 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        ),
    ),
    "webhook": Target(
        webhook,
        (
            b'{"events":[{"kept":1,"what":"bounce","kind":"hard","id":"e","message":"00AB","at":1750000000}]}',
            b'{"text":"{\\"events\\":[{\\"kept\\":true,\\"what\\":\\"seen\\",\\"ours\\":{\\"message_id\\":\\"m\\"}}]}"}',
        ),
    ),
}
