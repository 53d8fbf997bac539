"""What a provider's receipt says of a message: its delivery or engagement event, and how the two find each other."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from processor.core.events import DeliveryEvent, EngagementEvent, Receipt, event_id
from processor.core.words import Lane, Reason, Status

JOINED: Final = frozenset({Status.SENT, Status.UNKNOWN})
"""Results of messages that a provider has, or may have: only of these do receipts tell."""

STATES: Final[Mapping[str, tuple[Status, Reason]]] = {
    # of mail and of HTTP services
    "delivered": (Status.DELIVERED, Reason.DELIVERED),
    "deferred": (Status.DELAYED, Reason.DELAYED),
    "bounced_hard": (Status.BOUNCED, Reason.BOUNCED_HARD),
    "bounced_soft": (Status.BOUNCED, Reason.BOUNCED_SOFT),
    "bounced_block": (Status.BOUNCED, Reason.BOUNCED_BLOCK),
    "complained": (Status.COMPLAINED, Reason.COMPLAINED),
    # SMPP 3.4 §5.2.28; enroute and accepted are no end, unknown says nothing
    "undeliverable": (Status.BOUNCED, Reason.UNDELIVERABLE),
    "expired": (Status.BOUNCED, Reason.NETWORK_EXPIRED),
    "deleted": (Status.BOUNCED, Reason.NETWORK_DELETED),
    "rejected": (Status.BOUNCED, Reason.NETWORK_REJECTED),
}
ENGAGEMENTS: Final = frozenset({"opened", "clicked", "unsubscribed"})
"""States that are acts of a recipient; their type on the engagement topic has the same name."""

SETTLED_WITHIN_MS: Final = 600_000
"""A receipt may come before its message counts as sent, and the clocks of two of our processes may differ."""

RULE: Final = "reported"  # nobody here saw who acted


class About(NamedTuple):
    """The message that a receipt is about."""

    message_id: str
    external_id: str | None
    attempt: int
    channel: str
    campaign_id: str | None
    lane: Lane | None = None
    provider_message_id: str | None = None  # as the provider answered it
    part_ids: tuple[str, ...] = ()


def id_key(provider_message_id: str) -> str:
    """Return what is compared of a provider's id: without leading zeros, whatever its case."""
    return provider_message_id.lstrip("0").lower() or "0"


def says_something(receipt: Receipt) -> bool:
    """Tell whether a receipt's state becomes an event."""
    return receipt.state in STATES or receipt.state in ENGAGEMENTS


def echoed(receipt: Receipt) -> About | None:
    """Return the message of a receipt that tells all of it; no other event is needed then."""
    if receipt.message_id is None or receipt.channel is None:
        return None
    return About(
        receipt.message_id,
        receipt.external_id,
        receipt.attempt or 1,
        receipt.channel,
        receipt.campaign_id,
        provider_message_id=receipt.provider_message_id,
    )


def about(sent: DeliveryEvent) -> About:
    """Return the message that *sent* is the result of."""
    return About(
        sent.message_id,
        sent.external_id,
        sent.attempt,
        sent.channel,
        sent.campaign_id,
        sent.lane,
        sent.provider_message_id,
        sent.part_ids,
    )


def wanted(receipt: Receipt) -> tuple[str, ...]:
    """Return the keys under which the message of *receipt* may be known, the likeliest first; see `known_as`."""
    ours = () if receipt.message_id is None else (_ours(receipt.message_id),)
    keys = receipt.id_keys or (receipt.provider_message_id,)
    return ours + tuple(dict.fromkeys(_theirs(receipt.provider, each) for each in keys))


def known_as(sent: DeliveryEvent) -> tuple[str, ...]:
    """Return every key under which a receipt may look for the message of *sent*; none where no receipt can come."""
    if sent.provider is None or sent.status not in JOINED:
        return ()
    ids = sent.part_ids or (() if sent.provider_message_id is None else (sent.provider_message_id,))
    return (_ours(sent.message_id), *dict.fromkeys(_theirs(sent.provider, each) for each in ids))


def may_be_of(receipt: Receipt, sent: DeliveryEvent, horizon_ms: int) -> bool:
    """
    Tell whether *sent* is no older than receipts come late, and not sent after this one came.

    Providers use their ids again. A receipt that names our own message is of it whenever that was sent.
    """
    if receipt.message_id is None and sent.occurred_at_ms > receipt.received_at_ms + SETTLED_WITHIN_MS:
        return False
    return sent.occurred_at_ms >= receipt.received_at_ms - horizon_ms


def preference(receipt: Receipt, sent: DeliveryEvent) -> tuple[int, bool, bool, int, str]:
    """Return what orders several messages that a receipt may be of: the least one is meant."""
    keys, names = wanted(receipt), known_as(sent)
    place = next((place for place, key in enumerate(keys) if key in names), len(keys))
    other_attempt = receipt.attempt is not None and receipt.attempt != sent.attempt
    return place, receipt.provider != sent.provider, other_attempt, -sent.occurred_at_ms, sent.event_id


def part_of(receipt: Receipt, message: About) -> str | None:
    """Return the id of the part that *receipt* is of, as the provider answered it; None where it is of the whole."""
    if len(message.part_ids) < 2:  # noqa: PLR2004 - one part is the whole
        return None
    keys = [id_key(each) for each in receipt.id_keys]
    return next((part for part in message.part_ids if id_key(part) in keys), None)


def delivery(receipt: Receipt, message: About, part: str | None = None) -> DeliveryEvent | None:
    """
    Return what *receipt* says of the delivery of *message*, or of its *part*; None where it says nothing of it.

    The provider's instant is taken where it is not later than ours.
    """
    if receipt.state not in STATES:
        return None
    status, reason = STATES[receipt.state]
    return DeliveryEvent(
        event_id=event_id("report" if part is None else "part", receipt.event_id),
        message_id=message.message_id,
        external_id=message.external_id,
        attempt=message.attempt,
        occurred_at_ms=_when_ms(receipt),
        channel=message.channel,
        provider=receipt.provider,
        campaign_id=message.campaign_id,
        lane=message.lane,
        status=status,
        terminal=False,
        reason=reason,
        provider_code=receipt.provider_code,
        provider_message_id=part or message.provider_message_id or receipt.provider_message_id,
        part_ids=() if part is None else message.part_ids,
    )


def engagement(receipt: Receipt, message: About, *, repeated: bool) -> EngagementEvent | None:
    """Return the recipient's act that *receipt* tells of; None where it tells of none."""
    if receipt.state not in ENGAGEMENTS:
        return None
    return EngagementEvent(
        event_id=event_id("report", receipt.event_id),
        type=receipt.state,
        message_id=message.message_id,
        external_id=message.external_id,
        occurred_at_ms=_when_ms(receipt),
        channel=message.channel,
        campaign_id=message.campaign_id,
        url=receipt.url,
        position=None,
        message_status=None,
        user_agent_family=receipt.user_agent_family,
        actor="unknown",
        rule=RULE,
        repeated=repeated,
        provider=receipt.provider,
    )


def whole(last: DeliveryEvent, occurred_at_ms: int) -> DeliveryEvent:
    """Return the event of a message whose parts have come to the status of *last*, the same whichever was the last."""
    return last._replace(
        event_id=event_id("parts", last.message_id, last.attempt, last.status, *last.part_ids),
        occurred_at_ms=occurred_at_ms,
        provider_message_id=last.part_ids[-1],
        part_ids=(),
    )


def _ours(message_id: str) -> str:
    return f"m\n{message_id}"


def _theirs(provider: str, given: str) -> str:
    return f"p\n{provider}\n{id_key(given)}"


def _when_ms(receipt: Receipt) -> int:
    if receipt.occurred_at_ms is None:
        return receipt.received_at_ms
    return min(receipt.occurred_at_ms, receipt.received_at_ms)
