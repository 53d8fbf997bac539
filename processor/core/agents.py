"""
What the user-agent header of a request says: a family of a closed list, and whether a privacy proxy stands in between.

The header itself goes nowhere. Tables are read from above; the first row whose mark is in the header wins.
"""

from enum import StrEnum
from typing import Final, NamedTuple


class Family(StrEnum):
    """Families of mail clients, browsers and proxies."""

    APPLE_MAIL = "apple_mail"
    APPLE_PROXY = "apple_proxy"
    CHROME = "chrome"
    EDGE = "edge"
    FIREFOX = "firefox"
    GMAIL_PROXY = "gmail_proxy"
    INTERNET_EXPLORER = "internet_explorer"
    OPERA = "opera"
    OTHER = "other"
    OUTLOOK = "outlook"
    SAFARI = "safari"
    SAMSUNG = "samsung"
    THUNDERBIRD = "thunderbird"
    YAHOO_PROXY = "yahoo_proxy"


PROXIES: Final = frozenset((Family.APPLE_PROXY, Family.GMAIL_PROXY, Family.YAHOO_PROXY))
"""They fetch images on somebody's behalf: that a message was opened can be theirs, a click cannot."""

MAIL_CLIENTS: Final = frozenset((Family.APPLE_MAIL, Family.OUTLOOK, Family.THUNDERBIRD))

APPLE_PROXY: Final = "Mozilla/5.0"
"""The whole header that Mail Privacy Protection sends (measured by mail senders since iOS 15, 2021)."""

_WEBKIT: Final = "AppleWebKit/"

MARKS: Final[tuple[tuple[str, Family], ...]] = (
    ("GoogleImageProxy", Family.GMAIL_PROXY),  # "… Firefox/11.0 (via ggpht.com GoogleImageProxy)"
    ("YahooMailProxy", Family.YAHOO_PROXY),  # help.yahoo.com, SLN28749
    ("Thunderbird/", Family.THUNDERBIRD),
    ("Outlook-iOS", Family.OUTLOOK),
    ("Outlook-Android", Family.OUTLOOK),
    ("Microsoft Outlook", Family.OUTLOOK),
    ("MSOffice", Family.OUTLOOK),  # "… MSIE 7.0 … ms-office; MSOffice 16": Outlook renders with Word, says it is MSIE
    ("ms-office", Family.OUTLOOK),
    # Browsers that also claim to be Chrome or Safari come first.
    ("SamsungBrowser/", Family.SAMSUNG),
    ("Edg/", Family.EDGE),
    ("EdgA/", Family.EDGE),
    ("EdgiOS/", Family.EDGE),
    ("Edge/", Family.EDGE),
    ("OPR/", Family.OPERA),
    ("OPT/", Family.OPERA),
    ("Opera", Family.OPERA),
    ("FxiOS/", Family.FIREFOX),
    ("Firefox/", Family.FIREFOX),
    ("CriOS/", Family.CHROME),
    ("Chrome/", Family.CHROME),
    ("Trident/", Family.INTERNET_EXPLORER),
    ("MSIE ", Family.INTERNET_EXPLORER),
    ("Safari/", Family.SAFARI),
)


class Agent(NamedTuple):
    """What a header says; *crawler*: it is one of those that crawlers and scanners are known to send."""

    family: Family | None = None  # None: there was no header
    crawler: bool = False


def family_of(user_agent: str) -> Family | None:
    """Return the family that *user_agent* belongs to; None for an empty one."""
    if not user_agent:
        return None
    if user_agent == APPLE_PROXY:
        return Family.APPLE_PROXY
    for mark, family in MARKS:
        if mark in user_agent:
            return family
    # Apple's mail program shows WebKit's name without a browser's.
    return Family.APPLE_MAIL if _WEBKIT in user_agent and _is_apple(user_agent) else Family.OTHER


def _is_apple(user_agent: str) -> bool:
    return any(mark in user_agent for mark in ("Macintosh;", "iPhone;", "iPad;"))
