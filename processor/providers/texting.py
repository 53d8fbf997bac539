"""Text messages through services that take a number and a text: what every protocol asks of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processor.core.outcome import Accepted
from processor.core.words import Reason
from processor.providers.adapter import Submission
from processor.providers.content import refused_content, rejected
from processor.providers.phone import e164
from processor.providers.text import parts_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from processor.core.outcome import Outcome, Rejected
    from processor.providers.adapter import Adapter
    from processor.providers.text import Text

Ready = tuple[Submission, "Text | None"]


class Texting:
    """Passes batches on with numbers in E.164 and texts of bounded length; tells how what was taken is written."""

    def __init__(self, adapter: Adapter, *, countries: Collection[int] = ()) -> None:
        """Send to the calling codes *countries* alone, if any are given."""
        self._adapter = adapter
        self._countries = countries

    def open(self) -> None:
        """Open the adapter."""
        self._adapter.open()

    async def send(self, batch: Sequence[Submission]) -> Sequence[Outcome]:
        """Send *batch*; what must be refused is refused alone, the rest goes."""
        ready = [self._ready(asked) for asked in batch]
        going = [each[0] for each in ready if isinstance(each, tuple)]
        answered = iter(await self._adapter.send(going) if going else ())
        return [_told(next(answered), each[1]) if isinstance(each, tuple) else each for each in ready]

    async def close(self) -> None:
        """Close the adapter."""
        await self._adapter.close()

    def _ready(self, asked: Submission) -> Ready | Rejected:
        message = asked.message
        number = e164(message.to, country=asked.form.country, countries=self._countries)
        if number is None:
            return rejected(Reason.INVALID_RECIPIENT, "to")
        refused = refused_content(message)
        if refused is not None:
            return refused
        text = parts_of(message.text) if message.text else None
        if text is not None and text.segments > asked.form.segments_max:
            return rejected(Reason.TOO_MANY_SEGMENTS, "text")
        return asked._replace(message=message._replace(to=number)), text


def _told(outcome: Outcome, text: Text | None) -> Outcome:
    """Return *outcome* with segments and encoding; the service's own count wins, for it bills by it."""
    if not isinstance(outcome, Accepted) or text is None:
        return outcome
    return outcome._replace(segments=outcome.segments or text.segments, encoding=str(text.encoding))
