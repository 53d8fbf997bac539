"""What an SMPP provider is configured with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

CHARS_MAX: Final[Mapping[str, int]] = {  # SMPP 3.4 §5.2.1 to §5.2.11, less the final NUL
    "system_id": 15,
    "password": 64,  # 8 by the standard; centres hand out longer ones, and take them
    "system_type": 12,
    "service_type": 5,
    "source_addr": 20,
}
"""How long the texts of a configuration may be; all are ASCII."""


@dataclass(frozen=True, slots=True)
class SmppConfig:
    """A short message centre and how to talk to it; built once, by settings. Time-outs are per phase."""

    host: str
    port: int
    system_id: str
    password: str = field(default="", repr=False)
    system_type: str = ""
    bind: str = "transceiver"  # transceiver | transmitter_receiver
    connections: int = 1  # binds kept at once; of transmitter_receiver so many pairs
    window_size: int = 10  # submits without an answer, per bind
    tls: str = "implicit"  # off | implicit; certificates are always checked
    ca_file: str | None = None  # PEM file of further trusted authorities; None: the system's only
    # Addresses: type of number and numbering plan, SMPP 3.4 §5.2.5, §5.2.6.
    source_addr: str = ""
    source_ton: int = 5  # alphanumeric
    source_npi: int = 0
    dest_ton: int = 1  # international: digits that begin with the country code, without +
    dest_npi: int = 1  # E.164
    countries: tuple[int, ...] = ()  # calling codes that are allowed; empty: all
    # The message.
    service_type: str = ""
    registered_delivery: int = 1  # §5.2.17: a receipt for every end; 0: none; 2: for failure only
    receipt_ids: str = "same"  # how receipts write the ids of answers: same | decimal | hexadecimal | either
    gsm7_data_coding: int = 0  # §5.2.19: the centre's default alphabet
    ucs2_data_coding: int = 8  # §5.2.19
    payload: str = "udh"  # how long texts go: udh | message_payload
    reference_tlv: int | None = None  # tag of a parameter with our message id and attempt, 0x1400 to 0x3FFF
    codes: Mapping[int, str] = field(default_factory=dict)  # command_status to meaning, over the table in codes.py
    connect_timeout_ms: int = 10_000  # TCP and TLS
    bind_timeout_ms: int = 10_000
    answer_timeout_ms: int = 30_000  # of a submit_sm; as long may it wait for room in the window
    enquire_link_ms: int = 30_000  # silence after which the link is asked after
    enquire_timeout_ms: int = 10_000  # silence after that which ends it
