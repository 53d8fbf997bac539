"""What is tracked of one mail: its links, its pixel, and its ways to unsubscribe; pure, but for what it counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from processor.core.control import address_hash
from processor.core.tokens import Purpose as Opens
from processor.core.tokens import Sealer, Ticket
from processor.core.words import Purpose, Scope
from processor.metrics import BODIES_UNTRACKED, LINKS_UNTRACKED
from processor.providers.content import is_mailbox, wire_address
from processor.providers.tracking.links import Kept
from processor.providers.tracking.rewrite import Order, rewritten, sealed

if TYPE_CHECKING:
    from processor.core.message import Message
    from processor.core.plan import Form
    from processor.providers.adapter import Submission
    from processor.providers.tracking.config import TrackingConfig

UNSUBSCRIBE_CHARS_MAX: Final = 970
"""Of an address in List-Unsubscribe: the field is one line, of at most 998 characters (RFC 5322 §2.1.1)."""


class Tracker:
    """What becomes of a submission before an adapter gets it."""

    def __init__(self, config: TrackingConfig) -> None:
        """Make the keys ready once."""
        self._base_url = config.base_url.rstrip("/")
        self._hash_key = config.hash_key
        self._hidden_link = config.hidden_link
        self._sealer = Sealer(config.keys)

    def tracked(self, asked: Submission, *, now_ms: int) -> Submission:
        """Return *asked* as its channel tracks it, submitted at *now_ms*; a one-time password as it is."""
        message, form = asked.message, asked.form
        purpose = form.purpose_of(message.head)
        if purpose is Purpose.OTP or not is_mailbox(message.to):  # a text message; or what the adapter refuses
            return asked
        ticket = _ticket(message, now_ms // 1_000)
        wants_leave = purpose is Purpose.MARKETING or _has_placeholder(message)
        leave = self._leave(message, form, ticket) if wants_leave else None
        if purpose is Purpose.MARKETING and leave is not None and form.list_unsubscribe is None:
            asked = asked._replace(form=replace(form, list_unsubscribe=leave))
        order = self._order(message, form, ticket, leave)
        if message.html is None or order is None:
            return asked
        return asked._replace(message=message._replace(html=self._html(message.html, order)))

    def _leave(self, message: Message, form: Form, ticket: Ticket) -> str | None:
        """Return where one unsubscribes from the message: at the channel's own address, or at ours."""
        if form.list_unsubscribe is not None:
            return _filled(form.list_unsubscribe, quote(message.head.message_id, safe=""))
        if form.unsubscribe_scope is None:
            return None
        # A campaign that has no name cannot be unsubscribed from: then it is all marketing.
        is_nameless = form.unsubscribe_scope is Scope.CAMPAIGN and ticket.campaign_id is None
        token = sealed(
            self._sealer,
            Opens.UNSUBSCRIBE,
            ticket._replace(
                address_hash=address_hash(wire_address(message.to), self._hash_key),
                scope=Scope.MARKETING if is_nameless else form.unsubscribe_scope,
            ),
            chars_max=UNSUBSCRIBE_CHARS_MAX - len(self._base_url),
        )
        if token is None:
            LINKS_UNTRACKED.labels(Kept.TOO_LONG).inc()
            return None
        return f"{self._base_url}/{Opens.UNSUBSCRIBE}/{token}"

    def _order(self, message: Message, form: Form, ticket: Ticket, leave: str | None) -> Order | None:
        """Return what is asked of the message's HTML; None if nothing is."""
        tracks = form.tracks_opens or form.tracks_clicks
        if not (tracks or _has_placeholder(message)):
            return None
        own = form.list_unsubscribe or ""
        message_id = message.head.message_id  # mails have it quoted, hosted services as it is
        return Order(
            ticket,
            self._base_url,
            opens=form.tracks_opens,
            clicks=form.tracks_clicks,
            hidden_link=tracks and self._hidden_link,
            unsubscribe_url=leave,
            unsubscribe_links=frozenset({_filled(own, message_id), _filled(own, quote(message_id, safe=""))} - {""}),
        )

    def _html(self, html: str, order: Order) -> str:
        found = rewritten(html, order, self._sealer)
        for why in found.kept:
            LINKS_UNTRACKED.labels(why).inc()
        if not found.readable:
            BODIES_UNTRACKED.labels("unreadable").inc()
        elif not found.ended:
            BODIES_UNTRACKED.labels("unended").inc()
        return found.html


def _ticket(message: Message, sent_at_s: int) -> Ticket:
    head = message.head
    return Ticket(head.message_id, head.channel, sent_at_s, head.campaign_id, head.external_id)


def _has_placeholder(message: Message) -> bool:
    return message.html is not None and "unsubscribe_url" in message.html


def _filled(address: str, message_id: str) -> str:
    return address.replace("{{ message_id }}", message_id)
