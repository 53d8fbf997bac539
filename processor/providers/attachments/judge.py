"""What is refused whatever it is fetched from, pure."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from processor.core.outcome import Deferred, Rejected, Stage
from processor.core.words import Reason
from processor.providers.content import rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processor.core.message import Attachment
    from processor.providers.attachments.config import AttachmentsConfig

Refusal = Rejected | Deferred

REFUSED: Final = rejected(Reason.ATTACHMENT_REFUSED, "attachments")
"""A place, type, size or checksum that is not allowed: no later attempt would differ."""

MISSING: Final = Deferred(Reason.ATTACHMENT_MISSING, stage=Stage.CONNECT)
"""Not to be had now."""


def refusal(attachments: Sequence[Attachment], config: AttachmentsConfig) -> Refusal | None:
    """Return why *attachments* cannot be sent, as far as is known before anything is fetched; None if they can."""
    if len(attachments) > config.count_max:
        return REFUSED
    if not all(_is_allowed(attachment.content_type, config) for attachment in attachments):
        return REFUSED
    given = [(attachment, attachment.content) for attachment in attachments if attachment.content is not None]
    if sum(len(content) for _, content in given) > config.total_bytes_max:
        return REFUSED
    return REFUSED if any(judged(attachment, content, config) for attachment, content in given) else None


def judged(attachment: Attachment, content: bytes, config: AttachmentsConfig) -> Refusal | None:
    """Return why *content* cannot be that of *attachment*; None if it can. Sizes are those of the decoded bytes."""
    if len(content) > config.bytes_max:
        return REFUSED
    if attachment.sha256 is not None and sha256(content).hexdigest() != attachment.sha256.lower():
        return REFUSED
    return None


def _is_allowed(content_type: str, config: AttachmentsConfig) -> bool:
    lowered = content_type.lower()
    return any(
        lowered.startswith(allowed[:-1]) if allowed.endswith("*") else lowered == allowed
        for allowed in config.content_types
    )
