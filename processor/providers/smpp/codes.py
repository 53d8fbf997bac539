"""What a command_status means for a message; SMPP 3.4 §5.1.3, table 5-2, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from processor.core.outcome import Deferred, Throttled
from processor.core.words import Reason
from processor.providers.meaning import Meaning, outcome_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processor.core.outcome import Outcome


STATUSES: Final = {
    0x00: Meaning.ACCEPTED,  # ESME_ROK
    0x01: Meaning.REJECTED,  # ESME_RINVMSGLEN: message length
    0x02: Meaning.REJECTED,  # ESME_RINVCMDLEN: command length
    0x03: Meaning.UNAVAILABLE,  # ESME_RINVCMDID: it does not know the command
    0x04: Meaning.UNAVAILABLE,  # ESME_RINVBNDSTS: not bound for that
    0x05: Meaning.UNAVAILABLE,  # ESME_RALYBND: already bound: an old link of ours that it still believes in
    0x06: Meaning.REJECTED,  # ESME_RINVPRTFLG: priority
    0x07: Meaning.UNAVAILABLE,  # ESME_RINVREGDLVFLG: registered_delivery, which is configured
    0x08: Meaning.DEFERRED,  # ESME_RSYSERR: its own error
    0x0A: Meaning.UNAVAILABLE,  # ESME_RINVSRCADR: the sender, which is configured
    0x0B: Meaning.REJECTED,  # ESME_RINVDSTADR: the recipient
    0x0D: Meaning.AUTHENTICATION,  # ESME_RBINDFAIL: what many answer to a wrong password or address
    0x0E: Meaning.AUTHENTICATION,  # ESME_RINVPASWD
    0x0F: Meaning.AUTHENTICATION,  # ESME_RINVSYSID
    0x14: Meaning.THROTTLED,  # ESME_RMSGQFUL: its queue is full
    0x15: Meaning.UNAVAILABLE,  # ESME_RINVSERTYP: service_type, which is configured
    0x43: Meaning.REJECTED,  # ESME_RINVESMCLASS: such as a header of parts that it does not take
    0x45: Meaning.DEFERRED,  # ESME_RSUBMITFAIL: without a reason
    0x48: Meaning.UNAVAILABLE,  # ESME_RINVSRCTON: configured
    0x49: Meaning.UNAVAILABLE,  # ESME_RINVSRCNPI: configured
    0x50: Meaning.UNAVAILABLE,  # ESME_RINVDSTTON: configured
    0x51: Meaning.UNAVAILABLE,  # ESME_RINVDSTNPI: configured
    0x53: Meaning.AUTHENTICATION,  # ESME_RINVSYSTYP: part of the login
    0x58: Meaning.THROTTLED,  # ESME_RTHROTTLED: more than was agreed
    0x61: Meaning.REJECTED,  # ESME_RINVSCHED: scheduled delivery
    0x62: Meaning.REJECTED,  # ESME_RINVEXPIRY: validity period
    0x64: Meaning.DEFERRED,  # ESME_RX_T_APPN: temporary
    0x65: Meaning.REJECTED,  # ESME_RX_P_APPN: permanent
    0x66: Meaning.REJECTED,  # ESME_RX_R_APPN: rejected
    0xC0: Meaning.REJECTED,  # ESME_RINVOPTPARSTREAM: optional parameters cannot be read
    0xC1: Meaning.UNAVAILABLE,  # ESME_ROPTPARNOTALLWD: message_payload or reference_tlv, which are configured
    0xC2: Meaning.REJECTED,  # ESME_RINVPARLEN: length of a parameter
    0xC3: Meaning.UNAVAILABLE,  # ESME_RMISSINGOPTPARAM: it asks for one that we do not send
    0xC4: Meaning.UNAVAILABLE,  # ESME_RINVOPTPARAMVAL
    0xFE: Meaning.REJECTED,  # ESME_RDELIVERYFAILURE
    0xFF: Meaning.DEFERRED,  # ESME_RUNKNOWNERR; §4.4.2: with any status but 0, no message was taken
}
"""Of the reserved and vendor ranges nothing is known: such an answer may follow a message that went out."""

ROK: Final = 0x00
RX_T_APPN: Final = 0x64
RX_R_APPN: Final = 0x66
RINVCMDID: Final = 0x03


def code_of(status: int) -> str:
    """Return *status* as reports and configuration write it."""
    return f"0x{status:08X}"


def meaning(status: int, codes: Mapping[int, str]) -> Meaning | None:
    """Return what *status* means, by the configured *codes* first; None for one that nobody lists."""
    configured = codes.get(status)
    return STATUSES.get(status) if configured is None else Meaning(configured)


def refusal(status: int, codes: Mapping[int, str]) -> Outcome:
    """Return the outcome of an answer to submit_sm other than that it was taken."""
    return outcome_of(meaning(status, codes) or Meaning.UNLISTED, code=code_of(status))


def bind_refusal(status: int, codes: Mapping[int, str]) -> Deferred | Throttled:
    """Return the outcome of what waits for a bind that was refused: nothing was sent, whatever the status."""
    code = code_of(status)
    match meaning(status, codes):
        case Meaning.AUTHENTICATION:
            return Deferred(Reason.AUTHENTICATION_FAILED, code)
        case Meaning.THROTTLED:
            return Throttled(code=code)
        case _:
            return Deferred(Reason.PROVIDER_UNAVAILABLE, code)
