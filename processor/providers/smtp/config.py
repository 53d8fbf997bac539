"""What an SMTP provider is configured with."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A key that signs the mails of a domain; its public half is in DNS at `SELECTOR._domainkey.DOMAIN`."""

    domain: str
    selector: str
    pem: str = field(repr=False)  # private: RSA or Ed25519, PKCS #8 without a password


@dataclass(frozen=True, slots=True)
class SmtpConfig:
    """A mail server and how to talk to it; built once, by settings. Time-outs are per phase."""

    host: str
    port: int
    from_address: str  # envelope sender and From
    message_id_domain: str  # right side of Message-ID
    tls: str = "starttls"  # off | opportunistic | starttls | implicit; certificates are always checked
    ca_file: str | None = None  # PEM file of further trusted authorities; None: the system's only
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    from_name: str | None = None
    reply_to: str | None = None
    helo_name: str = "localhost"
    dkim: tuple[DkimKey, ...] = ()  # empty: mails go unsigned; else one for the domain of from_address
    codes: Mapping[str, str] = field(default_factory=dict)  # what replies mean, over the tables in reply.py
    connections: int = 20  # kept and open at once
    uses_per_connection: int = 100  # messages before a connection is replaced
    login_pause_ms: int = 60_000  # after a login was refused, until the next one is tried
    idle_ms: int = 30_000  # a kept connection that rested longer is replaced
    connect_timeout_ms: int = 10_000
    greeting_timeout_ms: int = 30_000  # also EHLO, STARTTLS and AUTH, each
    command_timeout_ms: int = 30_000  # MAIL, RCPT and the answer to DATA, each
    data_timeout_ms: int = 60_000  # writing the message
    answer_timeout_ms: int = 120_000  # the answer to the final dot; RFC 5321 §4.5.3.2.6 suggests 600,000

    @property
    def agreed_within_ms(self) -> int:
        """How long a mail has until a server has agreed to DATA: what a call has, without content and answer."""
        set_up = self.connect_timeout_ms + 4 * self.greeting_timeout_ms
        waits = set_up if self.username else 0  # until somebody else's first login is over
        return waits + set_up + 3 * self.command_timeout_ms
