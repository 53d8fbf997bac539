"""Providers that are short message centres."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from processor.providers.smpp.config import CHARS_MAX, SmppConfig
from processor.settings.kinds import Duration, Host, Kind, Secret, Text, encrypted, wrong
from processor.settings.models import Optional, PemFile
from processor.settings.providers import Answer, Countries, ProviderSettings

LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


def number(value: Any) -> Any:
    """Return the number that is written as `0x00000058` or in decimal."""
    if isinstance(value, str) and re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", value):
        return int(value, 16)
    return value


def ascii_line(value: str) -> str:
    """Refuse what SMPP cannot carry in its texts."""
    if not value.isascii():
        raise wrong("is not ASCII", "letters, digits and signs of ASCII alone")
    return value


Ascii = Annotated[Text, AfterValidator(ascii_line), Kind("ASCII text", "text")]
Status = Annotated[int, BeforeValidator(number), Field(ge=0, le=0xFFFFFFFF), Kind("command_status", "0x00000058")]
Tag = Annotated[  # SMPP 3.4 §5.3.2: the range that is the vendors'
    int, BeforeValidator(number), Field(ge=0x1400, le=0x3FFF), Kind("tag", "0x1400")
]
Ton = Annotated[int, Field(ge=0, le=6)]  # SMPP 3.4 §5.2.5
Npi = Annotated[int, Field(ge=0, le=18)]  # SMPP 3.4 §5.2.6
Octet = Annotated[int, Field(ge=0, le=255)]


class SmppSettings(ProviderSettings):
    """A short message centre (SMPP 3.4)."""

    adapter: Literal["smpp"] = Field(description="The protocol.")
    host: Host = Field(description="Name or address of the centre.")
    port: int = Field(2775, ge=1, le=65_535, description="2775, or with TLS often 3550.")
    tls: Literal["off", "implicit"] = Field(
        "implicit",
        description="Certificates are always checked; off is refused in production, but to a tunnel on this machine.",
    )
    ca_file: Annotated[PemFile | None, Optional] = Field(None, description="Further authorities that are trusted.")
    system_id: Ascii = Field(max_length=CHARS_MAX["system_id"], description="The name to bind with.")
    password: Secret = Field(None, description="For the bind.")
    system_type: Ascii = Field("", max_length=CHARS_MAX["system_type"], description="For the bind, where asked for.")
    bind: Literal["transceiver", "transmitter_receiver"] = Field(
        "transceiver", description="One bind for both directions, or one for each."
    )
    connections: int = Field(1, ge=1, le=100, description="Binds per process; of transmitter_receiver so many pairs.")
    window_size: int = Field(
        10, ge=1, le=1_000, description="Submits without an answer, per bind; more concurrency than that only waits."
    )
    source_addr: Ascii = Field("", max_length=CHARS_MAX["source_addr"], description="The sender that is shown.")
    source_ton: Ton = Field(5, description="Type of number of source_addr: 5 for letters, 1 international, 3 short.")
    source_npi: Npi = Field(0, description="Numbering plan of source_addr: 0, or 1 for numbers.")
    dest_ton: Ton = Field(1, description="Type of number of recipients, which are sent as country code and number.")
    dest_npi: Npi = Field(1, description="Numbering plan of recipients.")
    countries: Countries = Field(
        (), description="Calling codes of the countries that may be sent to, such as [40, 44]; without it all."
    )
    service_type: Ascii = Field("", max_length=CHARS_MAX["service_type"], description="Where the centre asks for one.")
    registered_delivery: Octet = Field(1, description="1: a receipt whatever the end, 2: for failures, 0: none.")
    receipt_ids: Literal["same", "decimal", "hexadecimal", "either"] = Field(
        "same",
        description="How receipts write the ids that the answers gave: a centre that answers in hexadecimal may report "
        "in decimal, or the other way round. either looks for both, and may take one message for another.",
    )
    gsm7_data_coding: Octet = Field(0, description="data_coding of texts in GSM 7-bit.")
    ucs2_data_coding: Octet = Field(8, description="data_coding of all other texts.")
    payload: Literal["udh", "message_payload"] = Field(
        "udh", description="Long texts: cut by us, with headers that join them, or whole, cut by the centre."
    )
    reference_tlv: Tag | None = Field(None, description="Tag of a vendor's parameter that gets ATTEMPT:MESSAGE_ID.")
    codes: Mapping[Status, Answer] = Field(
        default_factory=dict, description="What a command_status means, over the usual table."
    )
    connect_timeout_ms: Duration = Field(10_000, alias="connect_timeout", ge=100, description="TCP and TLS.")
    bind_timeout_ms: Duration = Field(10_000, alias="bind_timeout", ge=100, description="The answer to a bind.")
    answer_timeout_ms: Duration = Field(
        30_000, alias="answer_timeout", ge=100, description="The answer to a submit; room in the window; later parts."
    )
    enquire_link_ms: Duration = Field(
        30_000, alias="enquire_link", ge=100, description="Silence after which a bind is asked after."
    )
    enquire_timeout_ms: Duration = Field(
        10_000, alias="enquire_timeout", ge=100, description="Silence after that which ends it."
    )

    @field_validator("tls")
    @classmethod
    def _encrypted(cls, tls: str, info: ValidationInfo) -> str:
        return encrypted(tls, info, plain=tls == "off" and info.data.get("host") not in LOCAL, write="implicit")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.password and self.tls == "off" and self.host not in LOCAL:
            raise wrong("would send its password in plain text", "tls: implicit")
        password = self.password.get_secret_value() if self.password else ""
        if not password.isascii() or len(password) > CHARS_MAX["password"]:
            raise wrong("has a password that SMPP cannot carry", f"at most {CHARS_MAX['password']} ASCII characters")
        return self

    def _phases_ms(self) -> int:
        # Twice to a bind and to room in its window, for one may end in between; an answer; all those of later parts.
        return 2 * (self.connect_timeout_ms + self.bind_timeout_ms) + 4 * self.answer_timeout_ms

    def config(self) -> SmppConfig:
        """Return what the adapter is built with."""
        same = set(SmppConfig.__dataclass_fields__) & set(type(self).model_fields)
        return SmppConfig(
            **{key: getattr(self, key) for key in same - {"password"}},
            password=self.password.get_secret_value() if self.password else "",
        )
