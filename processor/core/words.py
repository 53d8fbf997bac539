"""The closed lists of the product's words: statuses, reasons, lanes, purposes."""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """What a message has come to; a delivery event carries exactly one."""

    SENT = "SENT"  # a provider accepted it
    FAILED = "FAILED"  # a provider refused it, or the retry budget is spent
    EXPIRED = "EXPIRED"  # its end came, or no legal instant is left before it
    SUPPRESSED = "SUPPRESSED"  # the recipient is on the suppression list
    CANCELLED = "CANCELLED"  # recalled before it was submitted
    REJECTED = "REJECTED"  # the record asks for something that cannot be done
    UNKNOWN = "UNKNOWN"  # perhaps sent, and not tried again: the policy forbids it, or no try is left
    DUPLICATE = "DUPLICATE"  # the same message was asked for before
    # reported by the provider later
    DELIVERED = "DELIVERED"  # handed over to the recipient's server or handset
    DELAYED = "DELAYED"  # not yet handed over; the provider goes on trying
    BOUNCED = "BOUNCED"  # taken by the provider, and not handed over
    COMPLAINED = "COMPLAINED"  # the recipient called it unwanted


REPORTED: Final = frozenset({Status.DELIVERED, Status.DELAYED, Status.BOUNCED, Status.COMPLAINED})
"""What providers report of a message after they took it: never terminal, for a record has ended by then."""

TERMINAL: Final = frozenset(Status) - REPORTED
"""The statuses that end a record; each record comes to exactly one of them."""

DEAD_LETTERED: Final = frozenset({Status.REJECTED, Status.FAILED})
"""Terminal statuses whose message is also kept whole on the dead-letter topic."""


class Reason(StrEnum):
    """Why something happened; the closed list of every event, dead letter and metric."""

    # waiting
    NOT_STARTED = "not_started"  # before its start
    OUTSIDE_WINDOW = "outside_window"  # outside the message's or the provider's daily interval
    BACKING_OFF = "backing_off"  # between two attempts
    LIST_UNREAD = "list_unread"  # for marketing, and the suppression list was not read to its end yet
    # expired
    PAST_END = "past_end"  # its end has come
    NO_LEGAL_INSTANT = "no_legal_instant"  # windows, start and end leave no instant
    # rejected by us
    UNREADABLE = "unreadable"  # bytes that are no record of a known schema
    TOO_LARGE = "too_large"  # more bytes than the limit allows
    QUARANTINED = "quarantined"  # decoding it ended a process; kept undecoded
    INVALID_MESSAGE_ID = "invalid_message_id"
    UNKNOWN_CHANNEL = "unknown_channel"
    UNKNOWN_PROVIDER = "unknown_provider"
    PROVIDER_NOT_ON_CHANNEL = "provider_not_on_channel"
    INVALID_PRIORITY = "invalid_priority"
    INVALID_TIME_ZONE = "invalid_time_zone"
    INVALID_INTERVAL = "invalid_interval"
    INVALID_INSTANT = "invalid_instant"  # a start or end outside the years 1970 to 9999
    END_BEFORE_START = "end_before_start"
    INVALID_RETRY = "invalid_retry"
    INVALID_REFERENCE = "invalid_reference"  # an external or campaign id too long for an event
    INVALID_RECIPIENT = "invalid_recipient"
    INVALID_CONTENT = "invalid_content"
    INVALID_PROPERTIES = "invalid_properties"  # its properties do not fit its channel's schema
    TOO_MANY_SEGMENTS = "too_many_segments"  # a text longer than its channel allows
    ATTACHMENT_REFUSED = "attachment_refused"  # a place, type, size or checksum that is not allowed
    ATTACHMENT_MISSING = "attachment_missing"  # not to be had now; tried again
    # answers of providers
    ACCEPTED = "accepted"
    PROVIDER_REJECTED = "provider_rejected"  # a permanent answer
    PROVIDER_DEFERRED = "provider_deferred"  # a temporary answer
    PROVIDER_THROTTLED = "provider_throttled"  # asked to slow down; not charged
    PROVIDER_UNAVAILABLE = "provider_unavailable"  # no connection: certainly not sent
    AUTHENTICATION_FAILED = "authentication_failed"
    CONNECTION_BROKEN = "connection_broken"  # cut before the message was handed over
    ANSWER_MISSING = "answer_missing"  # handed over, no answer: perhaps sent
    ANSWER_UNLISTED = "answer_unlisted"  # an answer that no table lists
    # reported by providers later
    DELIVERED = "delivered"
    DELAYED = "delayed"  # the provider goes on trying
    BOUNCED_HARD = "bounced_hard"  # for good: there is no such mailbox, or it takes nothing
    BOUNCED_SOFT = "bounced_soft"  # the provider has given up: a full mailbox, a server that is away
    BOUNCED_BLOCK = "bounced_block"  # kept back by the recipient's server or by the provider itself
    UNDELIVERABLE = "undeliverable"  # the network cannot hand it over
    NETWORK_EXPIRED = "network_expired"  # its validity in the network ended
    NETWORK_DELETED = "network_deleted"
    NETWORK_REJECTED = "network_rejected"
    COMPLAINED = "complained"  # called unwanted by the recipient
    # ours
    IN_DOUBT = "in_doubt"  # started by a process that died; perhaps sent
    RETRIES_EXHAUSTED = "retries_exhausted"
    INTERNAL = "internal"  # a defect of the processor, told by class and place only
    # control (suppression list, recalls, duplicates)
    RECIPIENT_SUPPRESSED = "recipient_suppressed"
    RECALLED = "recalled"
    SAME_CONTENT = "same_content"
    OTHER_CONTENT = "other_content"


PERHAPS_SENT: Final = frozenset({Reason.ANSWER_MISSING, Reason.ANSWER_UNLISTED, Reason.IN_DOUBT, Reason.INTERNAL})
"""Reasons after which nobody knows whether the provider has the message."""


class Lane(StrEnum):
    """Urgency class of a message."""

    EXPRESS = "express"
    HIGH = "high"
    NORMAL = "normal"
    BULK = "bulk"


class DelayClass(StrEnum):
    """The two classes of delay tiers: a retried password never queues behind a campaign."""

    URGENT = "urgent"  # express and high
    REST = "rest"


class Purpose(StrEnum):
    """What a message is for; suppression and tracking depend on it."""

    OTP = "otp"
    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"


class Scope(StrEnum):
    """What a suppression stops; one-time passwords never."""

    CAMPAIGN = "campaign"  # messages of one campaign
    MARKETING = "marketing"  # whatever is for marketing
    ALL_BUT_TRANSACTIONAL = "all_but_transactional"  # whatever is neither transactional nor a one-time password


class InDoubt(StrEnum):
    """A channel's policy for an attempt that may have been sent."""

    RESEND = "resend"  # a new attempt, with the same reference
    REPORT = "report"  # terminal UNKNOWN, never a second call


class Action(StrEnum):
    """A channel's default action type."""

    EMAIL = "EMAIL"
    SMS = "SMS"
