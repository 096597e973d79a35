"""Where a side listens or connects to. Apart from the other options: a probe needs nothing else of them."""

from __future__ import annotations

from migemu.errors import UsageError


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT; an IPv6 host stands in brackets.

    Raises:
        UsageError: it is not of that form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{text!r} is not HOST:PORT, for example 127.0.0.1:4444 or [::1]:4444")
    return host.strip("[]") or "127.0.0.1", int(port)
