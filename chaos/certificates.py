"""The certificate of the mail server, before and after it expired."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

SINCE: Final = datetime(2020, 1, 1, tzinfo=UTC)
EXPIRED: Final = SINCE + timedelta(days=90)
VALID: Final = SINCE + timedelta(days=36_500)


def certificate(folder: Path, host: str, until: datetime) -> Path:
    """Return a PEM file with key and certificate of *host*, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), SINCE, until)
    names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ip_address("127.0.0.1"))])
    made = made.add_extension(names, critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    path = folder / f"{until:%Y}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    return path


def authorities(folder: Path, *certificates: Path) -> Path:
    """Return a PEM file with which all *certificates* are trusted, as far as their dates allow."""
    path = folder / "authorities.pem"
    found = [x509.load_pem_x509_certificate(each.read_bytes()) for each in certificates]
    path.write_bytes(b"".join(each.public_bytes(serialization.Encoding.PEM) for each in found))
    return path
