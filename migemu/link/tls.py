"""TLS on every channel: who is trusted, what a failed handshake means, and who the peer is.

Both sides show a certificate that the other's authority must have signed (mutual x509, as QEMU's
``tls-creds-x509`` with ``verify-peer``). TLS 1.3 only: both ends are migemu. With it a client learns only
after its handshake that the server refused its certificate: then the connection is closed without a word.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migemu.errors import ConfigError, MigemuError, PeerError, PeerTimeoutError

if TYPE_CHECKING:
    from migemu.scenario import Side, Tls

REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer shows no certificate, and both sides must",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS, and this side's [tls] is set",
    "HTTP_REQUEST": "the peer does not speak TLS, and this side's [tls] is set",
    "UNSUPPORTED_PROTOCOL": "the peer speaks an older TLS than 1.3",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the peer speaks an older TLS than 1.3",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer does not trust the authority that signed this side's certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the peer says that this side's certificate has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer refuses this side's certificate",
}
"""OpenSSL's reason for a failed handshake, as a person says it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is at the other end of a TLS connection."""

    fingerprint: str
    """SHA-256 of the certificate."""
    names: tuple[str, ...]
    """The names it is for; for people the first one is enough."""

    def __str__(self) -> str:
        return f"{self.names[0] if self.names else 'a certificate without a name'} ({self.fingerprint[:16]})"


def context(tls: Tls, side: Side) -> ssl.SSLContext | None:
    """What `side` speaks TLS with; None when it does not.

    Raises:
        ConfigError: a file is missing, or is not what it should be.
    """
    if not tls.on:
        return None
    server = side == "destination"
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_REQUIRED
    if server:
        made.num_tickets = 0  # nobody resumes a session here
    _load(made, tls, side)
    return made


def _load(made: ssl.SSLContext, tls: Tls, side: Side) -> None:
    authority, certificate, key = tls.files(side).values()
    if authority is None or certificate is None or key is None:
        missing = ", ".join(f"tls.{name}" for name, file in tls.files(side).items() if file is None)
        raise ConfigError(f"{missing}: needed for TLS on the {side}")
    try:
        made.load_verify_locations(authority)
        made.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        what = f"{authority}, {certificate} and {key}"
        raise ConfigError(f"[tls] of the {side} cannot be used ({what}): {why}") from None


def identity(transport: Any) -> Identity | None:
    """Who is at the other end; None on a plain connection."""
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return None
    said = tls.getpeercert() or {}
    names = [name for kind, name in said.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    names += [value for part in said.get("subject", ()) for key, value in part if key == "commonName"]
    return Identity(hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest(), tuple(names))


def check_name(who: Identity | None, wanted: str) -> None:
    """Hold a client's certificate against ``tls.client_name``.

    Raises:
        PeerError: it is for somebody else.
    """
    if wanted and who is not None and wanted not in who.names:
        names = ", ".join(who.names) or "nobody"
        raise PeerError(f"the peer's certificate is for {names}; tls.client_name is {wanted}")


def explain(error: Exception, seconds: float) -> MigemuError:
    """A failed handshake as an error of the tree."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return PeerError(f"TLS: the peer's certificate is refused: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        why = REASONS.get(error.reason or "", (error.reason or str(error)).lower().replace("_", " "))
        return PeerError(f"TLS handshake failed: {why}")
    if isinstance(error, asyncio.CancelledError | TimeoutError | ConnectionAbortedError):
        return PeerTimeoutError(f"no TLS handshake within {seconds:g} s")
    return PeerError("the peer went away in the TLS handshake: it may refuse this side's certificate")
