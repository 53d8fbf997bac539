"""The one form in which an address stands on the suppression list, whoever writes it."""

from processor.providers.content import is_mailbox, wire_address
from processor.providers.phone import e164


def listed(address: str, *, country: str | None = None) -> str | None:
    """
    Return a mail address with its domain in A-labels, or a phone number in E.164; None for what is neither.

    *country* (ISO 3166-1, two letters) is whose national form a number without `+` is in. Letter case is left to the
    hash, which does not distinguish it.
    """
    written = address.strip()
    if "@" in written:
        return wire_address(written) if is_mailbox(written) else None
    return e164(written, country=country)
