"""A message as submit_sm PDUs; pure. SMPP 3.4 §4.4.1, 3GPP TS 23.040 §9.2.3.24."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

from smpp34 import SubmitSm, Tlv

from processor.core.words import Reason
from processor.providers.content import refused_content, rejected
from processor.providers.phone import e164
from processor.providers.smpp.pdu import Tag
from processor.providers.text import Encoding, Text, parts_of, whole

if TYPE_CHECKING:
    from processor.core.outcome import Rejected
    from processor.providers.adapter import Submission
    from processor.providers.smpp.config import SmppConfig

UDHI: Final = 0x40  # esm_class, §5.2.12: the payload begins with a user data header


class Parts(NamedTuple):
    """What is handed over, part by part; sequence numbers are the link's. Its repr shows no content."""

    pdus: tuple[bytes, ...]
    segments: int
    encoding: Encoding

    def __repr__(self) -> str:
        """Show the form alone."""
        return f"Parts({len(self.pdus)}, {self.segments}, {self.encoding})"


def build(submission: Submission, config: SmppConfig) -> Parts | Rejected:
    """Return the PDUs of a message, or why it can never be sent."""
    message = submission.message
    recipient = e164(message.to, country=submission.form.country, countries=config.countries)
    if recipient is None:
        return rejected(Reason.INVALID_RECIPIENT, "to")
    # What a text message cannot carry is refused: left out, it would be reported as sent.
    if message.cc or message.bcc:
        return rejected(Reason.INVALID_RECIPIENT, "cc" if message.cc else "bcc")
    if message.attachments:
        return rejected(Reason.INVALID_CONTENT, "attachments")
    refusal = refused_content(message)
    if refusal is not None:
        return refusal
    if not message.text:
        return rejected(Reason.INVALID_CONTENT, "text")
    text = parts_of(message.text)
    if text.segments > submission.form.segments_max:
        return rejected(Reason.TOO_MANY_SEGMENTS, "text")
    reference = _reference(submission, config)
    if text.segments > 1 and config.payload == "message_payload":
        pdus = [_submit(recipient, b"", config, text, tlvs=[Tlv(Tag.MESSAGE_PAYLOAD, whole(text)), *reference])]
    else:
        pdus = _parts(recipient, text, config, submission, reference)
    return Parts(tuple(pdus), text.segments, text.encoding)


def _parts(recipient: str, text: Text, config: SmppConfig, submission: Submission, reference: list[Tlv]) -> list[bytes]:
    """
    Return a PDU for each part.

    A receipt is asked for each: the message is delivered when all are. The header's reference follows from
    the message's id: a handset that meets the parts of a message again takes them for the same.
    """
    if text.segments == 1:
        return [_submit(recipient, text.parts[0], config, text, tlvs=reference)]
    number = crc32(submission.message.head.message_id.encode("utf-8", "surrogatepass")) & 0xFF
    pdus = []
    for part, octets in enumerate(text.parts, start=1):
        # 3GPP TS 23.040 §9.2.3.24.1: length of header, element 0, its length, reference, parts, this part.
        header = bytes((5, 0, 3, number, text.segments, part))
        pdus.append(_submit(recipient, header + octets, config, text, tlvs=reference, esm_class=UDHI))
    return pdus


def _submit(
    recipient: str,
    octets: bytes,
    config: SmppConfig,
    text: Text,
    *,
    tlvs: list[Tlv],
    esm_class: int = 0,
) -> bytes:
    return SubmitSm(
        config.source_addr,
        recipient.removeprefix("+"),
        octets,
        service_type=config.service_type,
        source_addr_ton=config.source_ton,
        source_addr_npi=config.source_npi,
        dest_addr_ton=config.dest_ton,
        dest_addr_npi=config.dest_npi,
        esm_class=esm_class,
        registered_delivery=config.registered_delivery,
        data_coding=config.gsm7_data_coding if text.encoding is Encoding.GSM7 else config.ucs2_data_coding,
        tlvs=tlvs,
    ).encode()


def _reference(submission: Submission, config: SmppConfig) -> list[Tlv]:
    """`ATTEMPT:MESSAGE_ID` in a parameter of the vendors' range (§5.3.2), for a centre that records it."""
    if config.reference_tlv is None:
        return []
    told = f"{submission.attempt}:{submission.message.head.message_id}"
    return [Tlv(config.reference_tlv, told.encode("utf-8", "surrogatepass"))]
