"""Where a redirect may go: an absolute http or https address, written so that a header can hold it."""

import re
from typing import Final
from urllib.parse import quote, urlsplit

_WRITTEN: Final = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://[!-.0->@-\[\]-~][!-~]*")
"""Visible ASCII, and a host: its first character is none of `/`, `?` and a backslash, which browsers take for `/`."""

_STRIPPED: Final = "".join(map(chr, range(0x21)))
_TABS: Final = str.maketrans("", "", "\t\r\n")
_KEPT: Final = "".join(map(chr, range(0x21, 0x7F)))


def target_of(url: str | None) -> str | None:
    """
    Return *url* as a Location header takes it; None where it is no absolute address of http or https.

    As browsers read the attribute of a link (WHATWG URL, basic parser): surrounding blanks and inner tabs and line
    breaks do not count, what is not ASCII is percent-encoded in UTF-8, and a host in IDNA. Nothing else is changed.
    """
    if url is None:
        return None
    if _WRITTEN.fullmatch(url):
        return url
    written = _encoded(url.strip(_STRIPPED).translate(_TABS))
    return written if written is not None and _WRITTEN.fullmatch(written) else None


def _encoded(url: str) -> str | None:
    try:
        host = urlsplit(url).hostname or ""
        if not host.isascii():
            url = url.replace(host, host.encode("idna").decode("ascii"), 1)
        return quote(url, safe=_KEPT)
    except ValueError:  # no address at all, a label that is too long, half a surrogate pair
        return None
