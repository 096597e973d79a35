"""``--dask-scheduler``: whoever is there, and whoever is not, the answer comes soon and in one line."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from migemu.errors import UsageError
from migemu.lab.campaign import cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("distributed", reason="of the extra migemu[cluster]")

GARBAGE = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def listening(answer: bytes) -> Iterator[str]:
    """Somebody who takes every connection, says `answer` and nothing more; the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            taken = []
            while True:
                try:
                    taken.append(server.accept()[0])
                    taken[-1].sendall(answer)
                except OSError:
                    break
            for one in taken:
                one.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1.0)


@pytest.mark.parametrize("answer", [b"", GARBAGE], ids=["silence", "another protocol"])
def test_who_answers_but_is_no_scheduler_is_told_apart(answer: bytes) -> None:
    with listening(answer) as address, pytest.raises(UsageError, match=f"no Dask scheduler at {address}"):
        cluster.Dask(1, address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tls://127.0.0.1:9", "tcp://", "nonsense"])
def test_where_nobody_can_answer_is_told(address: str) -> None:
    with pytest.raises(UsageError, match=f"no Dask scheduler at {address}"):
        cluster.Dask(1, address)
