"""Asking the kernel about a connection that nobody reads."""

from __future__ import annotations

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
