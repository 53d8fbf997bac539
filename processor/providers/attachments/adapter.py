"""An adapter before which attachments by reference become attachments by value."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from processor.providers.adapter import Submission
from processor.providers.attachments import file
from processor.providers.attachments.judge import MISSING, REFUSED, judged, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from processor.core.message import Attachment
    from processor.core.outcome import Outcome
    from processor.providers.adapter import Adapter
    from processor.providers.attachments.config import AttachmentsConfig
    from processor.providers.attachments.judge import Refusal
    from processor.providers.attachments.remote import Remote


class WithAttachments:
    """Passes batches on with the contents of their attachments; a message whose contents cannot be had stays back."""

    def __init__(self, adapter: Adapter, config: AttachmentsConfig) -> None:
        self._adapter = adapter
        self._config = config
        self._remote = _listed(config)

    def open(self) -> None:
        """Open the adapter."""
        self._adapter.open()

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """Fetch what *batch* refers to, then send it; what is refused is refused alone, the rest goes."""
        if not any(asked.message.attachments for asked in batch):
            return await self._adapter.send(batch)
        ready = await asyncio.gather(*map(self._ready, batch))
        going = [asked for asked in ready if isinstance(asked, Submission)]
        answered = iter(await self._adapter.send(going) if going else ())
        return [next(answered) if isinstance(asked, Submission) else asked for asked in ready]

    async def close(self) -> None:
        """Close the adapter, and drop the connections to where attachments come from."""
        await self._adapter.close()
        if self._remote is not None:
            await self._remote.close()

    async def _ready(self, asked: Submission) -> Submission | Refusal:
        """Return *asked* with the contents of its attachments, or why they cannot be had."""
        attachments = asked.message.attachments
        refused = refusal(attachments, self._config)
        if refused is not None:
            return refused
        if all(attachment.content is not None for attachment in attachments):
            return asked
        try:
            async with asyncio.timeout(self._config.timeout_ms / 1_000):
                fetched = await self._fetched(attachments)
        except TimeoutError:
            return MISSING
        if not isinstance(fetched, tuple):
            return fetched
        return asked._replace(message=asked.message._replace(attachments=fetched))

    async def _fetched(self, attachments: Sequence[Attachment]) -> tuple[Attachment, ...] | Refusal:
        """Fetch one after the other, so that what is left of the message's bytes bounds the next."""
        left = self._config.total_bytes_max - sum(len(attachment.content or b"") for attachment in attachments)
        whole = []
        for attachment in attachments:
            if attachment.content is not None:
                whole.append(attachment)
                continue
            content = await self._content(attachment.url or "", bytes_max=min(self._config.bytes_max, left))
            if not isinstance(content, bytes):
                return content
            if refused := judged(attachment, content, self._config):
                return refused
            left -= len(content)
            whole.append(replace(attachment, content=content))
        return tuple(whole)

    async def _content(self, url: str, *, bytes_max: int) -> bytes | Refusal:
        scheme = url.partition(":")[0].lower()
        if scheme == "https" and self._remote is not None:
            return await self._remote.fetch(url, bytes_max=bytes_max)
        if scheme == "file":
            return await asyncio.to_thread(file.read, url, self._config.file_roots, bytes_max=bytes_max)
        return REFUSED


def _listed(config: AttachmentsConfig) -> Remote | None:
    if not (config.hosts or config.loopback_hosts):
        return None
    from processor.providers.attachments.remote import Remote  # noqa: PLC0415 - only where servers are listed

    return Remote(config)
