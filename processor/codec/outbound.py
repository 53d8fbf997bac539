"""OutboundMessage records to `Head` and `Message`, and back."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from processor.codec.contracts import latest
from processor.codec.errors import Fault, RefusedSchema, TooLarge, Unreadable
from processor.codec.framing import prefix_of
from processor.codec.read import Read
from processor.codec.resolve import Caps, Resolver
from processor.codec.schema import Record
from processor.codec.write import Write, writer
from processor.codec.writers import Readers
from processor.core.message import Attachment, Head, Message
from processor.core.words import Purpose

if TYPE_CHECKING:
    from processor.codec.registry import Registry

MESSAGE_BYTES_MAX: Final = 1_048_576
CAPS: Final = Caps(by_field={"attachments": 100, "cc": 1_000, "bcc": 1_000})
HEAD_FIELDS: Final = len(Head._fields)


class OutboundCodec:
    """Reads both framings of every admitted writer's schema; writes with the framing bytes *prefix*."""

    def __init__(
        self, *, prefix: bytes, registry: "Registry | None" = None, message_bytes_max: int = MESSAGE_BYTES_MAX
    ) -> None:
        self._readers = Readers(compiled, registry)
        self._bytes_max = message_bytes_max
        self._write: Write = writer(latest("OutboundMessage"), prefix)

    def decode_head(self, value: bytes | None, *, ask: bool = True) -> Head:
        """
        Return the routing fields; nothing after them is looked at.

        Raises `TooLarge`, `Unreadable`, and `RegistryUnavailable` where the record must be asked about again later; or
        where the registry would have to be asked now, and is not to be.
        """
        (read_head, _), raw, at = self._opened(value, ask=ask)
        head, _ = read_head(raw, at)
        return head  # type: ignore[no-any-return] # what the shape of the record makes

    def decode_message(self, value: bytes | None, *, ask: bool = True) -> Message:
        """Return the whole message; raises as `decode_head` does, and for bytes after its end."""
        (_, read_message), raw, at = self._opened(value, ask=ask)
        message, end = read_message(raw, at)
        if end != len(raw):
            raise Unreadable(Fault.TRAILING)
        return message  # type: ignore[no-any-return] # likewise

    def knows(self, value: bytes | None) -> bool:
        """Tell whether reading *value* needs no answer of the registry; any thread may ask while another one reads."""
        try:
            return self._readers.knows(prefix_of(value))
        except Unreadable:
            return True

    def learn(self, value: bytes | None) -> None:
        """Ask the registry for the schema of *value*; raises `RegistryUnavailable` where it cannot tell."""
        try:
            self._readers.of(prefix_of(value))
        except Unreadable:
            return  # which reading it will tell

    def encode_message(self, message: Message) -> bytes:
        """Return the framed record; raises `ValueError` for text that is not Unicode, such as a lone surrogate."""
        return self._write(_as_dict(message))

    def _opened(self, value: bytes | None, *, ask: bool) -> tuple[tuple[Read, Read], bytes, int]:
        if value is not None and len(value) > self._bytes_max:
            raise TooLarge(len(value), self._bytes_max)
        prefix = prefix_of(value)
        return self._readers.of(prefix, ask=ask), value or b"", len(prefix)


def compiled(record: Record) -> tuple[Read, Read]:
    """Return readers of the head and of the whole, for a writer's *record*; raises `RefusedSchema`."""
    ours = latest("OutboundMessage").record
    if record.name != ours.name:
        raise RefusedSchema("another record")
    names = {"comm.Purpose": Purpose, "comm.Attachment": Attachment}
    head = Resolver({**names, ours.name: Head}, CAPS)
    message = Resolver({**names, ours.name: _message}, CAPS)
    head_record = replace(ours, fields=ours.fields[:HEAD_FIELDS])
    return head.record(record, head_record, prefix=True), message.record(record, ours)


def _message(*values: Any) -> Message:
    return Message(Head(*values[:HEAD_FIELDS]), *values[HEAD_FIELDS:])


def _as_dict(message: Message) -> dict[str, Any]:
    head = message.head
    return {
        "message_id": head.message_id,
        "channel": head.channel,
        "provider": head.provider,
        "priority": head.priority,
        "start_at": head.start_at_ms,
        "end_at": head.end_at_ms,
        "interval_min": head.interval_min_ms,
        "interval_max": head.interval_max_ms,
        "time_zone": head.time_zone,
        "retry_max_attempts": head.retry_max_attempts,
        "retry_interval": head.retry_interval_s,
        "campaign_id": head.campaign_id,
        "purpose": head.purpose.value,
        "external_id": head.external_id,
        "message_status": head.message_status,
        "retry_attempt": head.retry_attempt,
        "last_attempt": head.last_attempt_ms,
        "to": message.to,
        "cc": message.cc,
        "bcc": message.bcc,
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "attachments": [_attachment(each) for each in message.attachments],
        "provider_params": message.provider_params,
        "properties": message.properties,
    }


def _attachment(attachment: Attachment) -> dict[str, Any]:
    return {
        "file_name": attachment.file_name,
        "content_type": attachment.content_type,
        "content": attachment.content,
        "url": attachment.url,
        "sha256": attachment.sha256,
    }
