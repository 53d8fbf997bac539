"""The 500 messages of the demo: what is asked for, and how each must end."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from processor.core.message import Head, Message
from processor.core.plan import DAY_MS
from processor.core.words import Action, Lane, Purpose, Reason, Status

SENT: Final = str(Status.SENT)
UNREADABLE: Final = "unreadable"
WAITING: Final = "waiting"
"""Endings that are no status; a status other than SENT carries its reason: `FAILED provider_rejected`."""

_HOUR_MS: Final = 3_600_000
_MINUTE_MS: Final = 60_000

Times = Callable[[int], Mapping[str, Any]]
"""Fields of the head that depend on the instant at which the message is produced (Unix milliseconds)."""


def ending(status: Status, reason: Reason) -> str:
    """Return how a message ended, in a word or two."""
    return SENT if status is Status.SENT else f"{status} {reason}"


@dataclass(frozen=True, slots=True)
class Route:
    """A channel, and the provider that takes its messages; *named*: the message says so itself."""

    channel: str
    action: Action
    provider: str
    named: bool = False


MAIL: Final = Route("Email", Action.EMAIL, "GatewayEmail")
HOSTED: Final = Route("Email", Action.EMAIL, "FTOSEmailGateway", named=True)
NEWS: Final = Route("Newsletter", Action.EMAIL, "GatewayEmail")
HOSTED_NEWS: Final = Route("Newsletter", Action.EMAIL, "FTOSEmailGateway", named=True)
SMS: Final = Route("SMS", Action.SMS, "GatewaySMS")
API: Final = Route("SMS", Action.SMS, "FTOSApiSMS", named=True)
OTP_MAIL: Final = Route("EmailOTP", Action.EMAIL, "GatewayEmailOTP")
OTP_SMS: Final = Route("SMSOTP", Action.SMS, "GatewaySMSOTP")
NOWHERE: Final = Route("Pigeon", Action.EMAIL, "none")
EVERYDAY: Final = (MAIL, HOSTED, SMS, API)
CAMPAIGN: Final = (NEWS, HOSTED_NEWS, SMS, API)
NEWSLETTERS: Final = re.compile(r"campaign-\d+")
"""Ids of the mails that people open, click in, and unsubscribe from."""

PAGE: Final = "https://www.example.com/offers?from={}"


@dataclass(frozen=True, slots=True)
class Recipient:
    """What the sandbox does with a message: how an address begins, how a number ends (sandbox/behaviour.py)."""

    local_part: str = "customer"
    digits: str = "111"


ACCEPTING: Final = Recipient()
LEFT: Final = Recipient("left")
"""Who has had enough of newsletters."""

MISTAKE: Final = "mistake"
"""The campaign that is recalled while it waits."""

TWICE_DEFERRING: Final = Recipient("defer-451-2x", "04512")
DEFERRING: Final = Recipient("defer-451", "04510")
BOUNCING: Final = Recipient("bounce-550", "0550")


@dataclass(frozen=True, slots=True)
class Case:
    """Messages of one kind."""

    name: str  # begins their ids
    about: str
    count: int
    ending: str
    routes: tuple[Route, ...] = EVERYDAY  # in turn
    lane: Lane = Lane.NORMAL
    recipient: Recipient = ACCEPTING
    times: Times = lambda _: {}
    over_ms: int = 5_000  # produced evenly over so long
    garbage: bool = False
    campaign: str = "demo"

    @property
    def prompt(self) -> bool:
        """Tell whether its messages go at once and are accepted at once: their latency says something."""
        return self.ending == SENT and self.recipient is ACCEPTING and "start_at_ms" not in self.times(0)


PRIORITIES: Final[Mapping[Lane, int]] = {Lane.EXPRESS: 9, Lane.HIGH: 7, Lane.NORMAL: 4, Lane.BULK: 1}


def _starts_in(wait_ms: int) -> Times:
    return lambda now_ms: {"start_at_ms": now_ms + wait_ms}


def _opens_later(now_ms: int) -> dict[str, Any]:
    """Return a daily interval (UTC) that opens in two hours and is open for one."""
    opens_ms = (now_ms // _MINUTE_MS * _MINUTE_MS + 2 * _HOUR_MS) % DAY_MS
    return {"interval_min_ms": opens_ms, "interval_max_ms": (opens_ms + _HOUR_MS) % DAY_MS}


def _opens_too_late(now_ms: int) -> dict[str, Any]:
    return _opens_later(now_ms) | {"end_at_ms": now_ms + _HOUR_MS}


CASES: Final = (
    Case("mail", "e-mails, at once", 60, SENT, (MAIL,)),
    Case("hosted", "e-mails through the gateway they name", 50, SENT, (HOSTED,)),
    Case("sms", "text messages, urgent", 50, SENT, (SMS,), Lane.HIGH),
    Case("api", "text messages through the provider they name", 40, SENT, (API,)),
    Case("campaign", "a campaign, all at the same moment", 125, SENT, CAMPAIGN, Lane.BULK, over_ms=0),
    Case("left", "newsletters to people who had left", 5, "SUPPRESSED recipient_suppressed", (NEWS,), recipient=LEFT),
    Case(
        "mistake",
        "a campaign recalled before it was due",
        10,
        "CANCELLED recalled",
        (NEWS, SMS),
        times=_starts_in(15_000),
        over_ms=1_000,
        campaign=MISTAKE,
    ),
    Case("otp-mail", "one-time passwords by e-mail", 25, SENT, (OTP_MAIL,), Lane.EXPRESS, over_ms=9_000),
    Case("otp-sms", "one-time passwords by text message", 25, SENT, (OTP_SMS,), Lane.EXPRESS, over_ms=9_000),
    Case("in-3s", "due in 3 s", 20, SENT, times=_starts_in(3_000), over_ms=1_000),
    Case("in-10s", "due in 10 s", 20, SENT, times=_starts_in(10_000), over_ms=1_000),
    Case("later", "daily window opens in two hours", 15, WAITING, times=_opens_later),
    Case("closed", "window opens after their end", 10, "EXPIRED no_legal_instant", times=_opens_too_late),
    Case("stale", "asked for after their end", 5, "EXPIRED past_end", times=lambda ms: {"end_at_ms": ms - _MINUTE_MS}),
    Case(
        "patience",
        "deferred until their end comes",
        5,
        "EXPIRED past_end",
        recipient=DEFERRING,
        times=lambda now_ms: {"end_at_ms": now_ms + 5_000, "retry_interval_s": 2, "retry_max_attempts": 9},
        over_ms=1_000,
    ),
    Case(
        "twice",
        "fail twice, then pass",
        15,
        SENT,
        recipient=TWICE_DEFERRING,
        times=lambda _: {"retry_interval_s": 1},
    ),
    Case("bounce", "recipient does not exist", 8, "FAILED provider_rejected", recipient=BOUNCING),
    Case(
        "never",
        "deferred until the retries are spent",
        6,
        "FAILED retries_exhausted",
        recipient=DEFERRING,
        times=lambda _: {"retry_interval_s": 1, "retry_max_attempts": 2},
    ),
    Case("pigeon", "a channel that nobody configured", 2, "REJECTED unknown_channel", (NOWHERE,)),
    Case("garbage", "bytes that nobody can read", 4, UNREADABLE, garbage=True),
)

GARBAGE: Final = (
    b"this is no Avro at all",
    None,  # a tombstone
    b"\x00\x7f\xff\xff\xff\x06abc",  # a schema id that no registry gave out
    b"\xc3\x01\x00\x01\x02\x03\x04\x05\x06\x07\x06abc",  # a fingerprint of no schema
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One message to be produced."""

    message_id: str
    case: Case
    route: Route
    number: int  # in its case, from 0
    after_ms: int  # since the first

    @property
    def express(self) -> bool:
        """Tell whether it goes to the express topic."""
        return self.case.lane is Lane.EXPRESS

    @property
    def garbage(self) -> bytes | None:
        """Return the bytes of one that is not a message."""
        return GARBAGE[self.number % len(GARBAGE)]

    def message(self, now_ms: int) -> Message:
        """Return the message as it is produced now."""
        case, route = self.case, self.route
        head = Head(
            self.message_id,
            route.channel,
            provider=route.provider if route.named else None,
            priority=PRIORITIES[case.lane],
            campaign_id=case.campaign,
            purpose=Purpose.OTP if self.express else Purpose.TRANSACTIONAL,
            **case.times(now_ms),
        )
        text = f"This is message {self.message_id} of the demo."
        if route.action is Action.EMAIL:
            to = _address(case.recipient, self.number)
            link = f'<a href="{PAGE.format(self.message_id)}">Read on</a>'
            return Message(head, to=to, subject="Demo", text=text, html=f"<p>{text} {link}</p>")
        # Ten digits, as the plan of +1 has them, in an area that has no telephones (555).
        digits = case.recipient.digits
        return Message(head, to=f"+1555{self.number:0{7 - len(digits)}}{digits}", text=text)


def _address(recipient: Recipient, number: int) -> str:
    return f"{recipient.local_part}+{number}@demo.example"


def left_before() -> tuple[str, ...]:
    """Return the addresses that are on the suppression list from the beginning."""
    return tuple(_address(LEFT, number) for case in CASES if case.recipient is LEFT for number in range(case.count))


def newsletters() -> int:
    """Return how many mails people get that they open, click in, and unsubscribe from."""
    return sum(NEWSLETTERS.fullmatch(ask.message_id) is not None and ask.route.action is Action.EMAIL for ask in mix())


def mix() -> tuple[Ask, ...]:
    """Return what is asked for, in the order in which it is produced."""
    return tuple(sorted(chain.from_iterable(map(_asks, CASES)), key=lambda ask: ask.after_ms))


def _asks(case: Case) -> list[Ask]:
    return [
        Ask(
            f"{case.name}-{number + 1:03}",
            case,
            case.routes[number % len(case.routes)],
            number,
            case.over_ms * number // case.count,
        )
        for number in range(case.count)
    ]
