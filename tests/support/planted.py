"""Codecs with a defect planted in them; what opens one pickles, for it is opened in child processes."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from processor.codec.assembly import Codecs, open_codecs
from processor.codec.contracts import latest
from processor.codec.errors import RegistryUnavailable
from processor.codec.framing import single_object_prefix
from processor.codec.outbound import OutboundCodec

if TYPE_CHECKING:
    from processor.core.message import Head

DEADLY = b"deadly-4242"
DEFECT = b"defect-4242"


class Planted(OutboundCodec):
    """Dies by a signal at one value, as a native library does, and has an ordinary defect at another."""

    def decode_head(self, value: bytes | None, *, ask: bool = True) -> Head:
        if value and DEADLY in value:
            os.kill(os.getpid(), signal.SIGSEGV)
        if value and DEFECT in value:
            raise ZeroDivisionError(f"canary in {value!r}")
        return super().decode_head(value, ask=ask)


def open_planted() -> Codecs:
    """Open codecs that die."""
    prefix = single_object_prefix(latest("OutboundMessage").fingerprint)
    return replace(open_codecs(), outbound=Planted(prefix=prefix))


def open_none() -> Codecs:
    """Fail as opening does while the registry is away."""
    raise RegistryUnavailable
