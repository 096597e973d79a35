"""Encryption: whom a side trusts, and what it shows of itself.

The destination listens, so it is TLS's server; the source is its client. Both show a certificate. File names
are those of QEMU's ``tls-creds-x509``, so a directory made for a QEMU serves here too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, Field

from migemu.scenario.device import STRICT
from migemu.scenario.quantity import OptionalPath

if TYPE_CHECKING:
    from migemu.scenario.names import Side

NAMES: Final = {
    "authority": "ca-cert.pem",
    "server_certificate": "server-cert.pem",
    "server_key": "server-key.pem",
    "client_certificate": "client-cert.pem",
    "client_key": "client-key.pem",
}
"""What the files are called in `dir`."""

NEEDED: Final[dict[Side, tuple[str, str, str]]] = {
    "destination": ("authority", "server_certificate", "server_key"),
    "source": ("authority", "client_certificate", "client_key"),
}
"""Which of them a side reads: its authority, its certificate, its key."""

Name = Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9_.:*-]*$")]


class Tls(BaseModel):
    """Encryption of every channel, with a certificate on both sides."""

    model_config = STRICT

    dir: OptionalPath = None
    """Folder with the files by QEMU's names, as `migemu tls init` makes it."""
    authority: OptionalPath = None
    """Certificates of those whose signature is trusted."""
    server_certificate: OptionalPath = None
    """What the destination shows of itself."""
    server_key: OptionalPath = None
    """The destination's private key."""
    client_certificate: OptionalPath = None
    """What the source shows of itself."""
    client_key: OptionalPath = None
    """The source's private key."""
    server_name: Name = ""
    """The name the destination's certificate must be for; empty: the host that is connected to."""
    client_name: Name = ""
    """The name the source's certificate must be for; empty: any that the authority has signed."""

    @property
    def on(self) -> bool:
        """Whether channels are encrypted."""
        return any(getattr(self, name) is not None for name in ("dir", *NAMES))

    def file(self, name: str) -> Path | None:
        """Where the file of that field is: named itself, or by QEMU's name in `dir`."""
        path: Path | None = getattr(self, name)
        if path is None and self.dir is not None:
            return Path(self.dir) / NAMES[name]
        return path

    def files(self, side: Side) -> dict[str, Path | None]:
        """What `side` reads, by field."""
        return {name: self.file(name) for name in NEEDED[side]}
