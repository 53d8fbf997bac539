"""Suppressions and recalls: how an address is hashed, and which record takes the place of which."""

import hmac
from hashlib import sha256
from typing import Final

from processor.core.events import Control

SUPPRESSION: Final = "suppression"
RECALL: Final = "recall"
HASH_BYTES: Final = 16


def address_hash(address: str, key: bytes) -> str:
    """
    Return the keyed hash that stands for *address* (of e-mail or phone, as it goes on the wire): 32 hexadecimal digits.

    Whatever its letter case: nobody distinguishes two people by it, and an unsubscribe must not depend on it.
    """
    return hmac.digest(key, address.strip().lower().encode("utf-8", "surrogatepass"), sha256)[:HASH_BYTES].hex()


def control_key(control: Control) -> bytes:
    """Return the key of a record on comm.control: what it is about, so that a later one takes its place."""
    about = {
        "message": control.message_id,
        "campaign": control.campaign_id,
        "channel": control.channel,
    }.get(control.scope, "")
    return key_of(control.kind, control.scope, about or "", control.address_hash or "")


def key_of(kind: str, scope: str, about: str, hashed: str = "") -> bytes:
    """
    Return the key of what is *about* a message, a campaign or a channel, and of a suppressed address.

    A campaign's name may hold a line feed; what stands before and after it has a fixed form, so no two run together.
    """
    return f"{kind}\n{scope}\n{about}\n{hashed}".encode("utf-8", "surrogatepass")
