"""Asking the kernel about a connection that nobody reads, and what it says of one that cannot be had."""

from __future__ import annotations

import os
import select


def peer_gone(fd: int) -> bool:
    """Whether the peer has closed or reset the connection `fd`, even while its bytes wait unread.

    An event loop that was told to pause reading does not look, so a connection that waits for its turn
    would seem alive for ever.
    """
    if fd < 0:
        return True
    poll = select.poll()
    poll.register(fd, select.POLLRDHUP)
    return bool(poll.poll(0))


def why_not(error: OSError) -> str:
    """Why a socket could not be had, in the system's words: Python adds the address, known already."""
    if error.errno is None or error.errno < 0:  # a name that does not resolve has a number of its own
        return error.strerror or str(error)
    return os.strerror(error.errno)
