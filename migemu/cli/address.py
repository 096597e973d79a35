"""Where a side listens or connects to. Apart from the other options: a probe needs nothing else of them."""

from __future__ import annotations

from migemu.errors import UsageError


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT; an IPv6 host stands in brackets.

    Raises:
        UsageError: it is not of that form.
    """
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not port.isdecimal() or int(port) > 65535 or set("[]") & set(bare):
        raise UsageError(f"{text!r} is not HOST:PORT, for example 127.0.0.1:4444 or [::1]:4444")
    return bare or "127.0.0.1", int(port)


def parse_target(text: str) -> tuple[str, int]:
    """HOST:PORT to connect to.

    Raises:
        UsageError: it is not of that form, or names the port of which only a listener can make something.
    """
    host, port = parse_address(text)
    if port == 0:
        raise UsageError(f"{text!r} is no place to connect to: name the port that the other side listens on")
    return host, port
