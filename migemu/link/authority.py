"""A test authority and one pair of certificates, so that TLS can be tried without one's own.

It uses ``cryptography``: Python's ssl reads certificates and makes none, and an openssl binary is not in
every container.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from migemu.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

EARLIER = timedelta(hours=1)
"""Certificates are valid from a little before they are made: clocks of two machines differ."""


class Authority:
    """Signs certificates for servers (destinations) and clients (sources).

    Args:
        name: what it is called.
        days: how long what it makes is valid.
    """

    def __init__(self, name: str = "migemu test authority", days: float = 30) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._days = days
        builder = self._builder(self._name, self._key.public_key(), days)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())

    def write(self, folder: Path) -> None:
        """Write its certificate and its key as QEMU calls them."""
        _put(folder / "ca-cert.pem", self._certificate.public_bytes(Encoding.PEM))
        _put(folder / "ca-key.pem", _pem(self._key), private=True)

    def issue(self, folder: Path, role: str, names: Iterable[str], days: float | None = None) -> None:
        """Write ``<role>-cert.pem`` and ``<role>-key.pem``.

        Args:
            folder: where.
            role: ``server`` for a destination, ``client`` for a source.
            names: DNS names and addresses it is for; the first one is also its common name.
            days: how long it is valid; negative: it has expired already.
        """
        known = list(names)
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if role == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(_name(known[0]), key.public_key(), self._days if days is None else days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(map(_alternative, known)), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        _put(folder / f"{role}-cert.pem", certificate.public_bytes(Encoding.PEM))
        _put(folder / f"{role}-key.pem", _pem(key), private=True)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: float
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        end = now + timedelta(days=days)
        begin = min(now, end) - EARLIER
        return x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number(), begin, end)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _put(file: Path, data: bytes, *, private: bool = False) -> None:
    try:
        file.touch(mode=0o600 if private else 0o644)
        file.write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
