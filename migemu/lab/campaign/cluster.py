"""``--executor dask``: shards on the workers of a Dask cluster, embedded or one that is there already.

Dask runs what a lost worker was doing on another one; its nannies start a new one in its place. Needs the
optional extra ``migemu[cluster]``, and on the workers the same version of migemu.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack, nullcontext
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from migemu.errors import MigemuError, UsageError
from migemu.lab.campaign.pool import deaf_children, guarded
from migemu.lab.campaign.work import run_shard

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from migemu.lab.campaign.plan import Range
    from migemu.lab.campaign.pool import OnLost

CONNECT_SECONDS = 15.0
"""For a scheduler to answer, and for the first of its workers to be there."""

AHEAD = 2
"""Shards handed out for each worker: one that it does and one that it can go on with."""


def _distributed() -> Any:
    """The library, typed as little as it is itself."""
    try:
        return import_module("distributed")  # an optional extra, and slow to import
    except ImportError:
        raise UsageError("--executor dask needs Dask distributed: pip install 'migemu[cluster]'") from None


class Dask:
    """The workers of a Dask cluster; to be used in a ``with``.

    Args:
        jobs: processes of an embedded cluster.
        scheduler: address of one that is there already, ``tcp://host:8786``; `jobs` does not matter then.
        on_lost: is told when a worker was lost.

    Raises:
        UsageError: Dask distributed is not installed, or nobody answers at `scheduler`.
    """

    def __init__(self, jobs: int, scheduler: str | None = None, on_lost: OnLost = lambda _told: None) -> None:
        self._distributed = _distributed()
        self._on_lost = on_lost
        self._open = ExitStack()
        try:
            with deaf_children() if scheduler is None else nullcontext():
                self.client = self._connect(jobs, scheduler)
        except BaseException:
            self._open.close()
            raise

    def _connect(self, jobs: int, scheduler: str | None) -> Any:
        """A client of the cluster, with a worker at least behind it."""
        address: Any = scheduler
        if scheduler is not None:
            self._look_for(scheduler)
        else:
            # One thread each: schedules are Python from end to end, and would only wait for the GIL.
            address = self._open.enter_context(
                self._distributed.LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,  # a lost worker is told in one line, by whoever asked us
                )
            )
        try:
            client = self._distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
            self._open.enter_context(client)
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except (OSError, ValueError, TimeoutError) as error:
            raise UsageError(f"no Dask scheduler with workers at {scheduler}: {error}") from None
        return client

    def _look_for(self, scheduler: str) -> None:
        """Ask who is at `scheduler`: a client of nobody, or of something else, would wait and then not end.

        Raises:
            UsageError: nobody answers in time, or no Dask scheduler.
        """
        try:
            found = asyncio.run(asyncio.wait_for(self._identity(scheduler), CONNECT_SECONDS))
        except Exception as error:  # noqa: BLE001  anything may answer, and the library make anything of it
            told = str(error) or f"no answer within {CONNECT_SECONDS:g} s"
            raise UsageError(f"no Dask scheduler at {scheduler}: {told}") from None
        if found != "Scheduler":
            raise UsageError(f"no Dask scheduler at {scheduler}: a {found} answers")

    async def _identity(self, address: str) -> str:
        """What answers at `address`, in its own word."""
        # A little less than we have ourselves: the library then says itself what it has waited for.
        secured = self._distributed.Security().get_connection_args("client")
        comm = await self._distributed.comm.connect(address, timeout=CONNECT_SECONDS * 0.8, **secured)
        try:
            await comm.write({"op": "identity", "reply": True})
            return str((await comm.read())["type"])
        finally:
            comm.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._open.close()

    @property
    def size(self) -> int:
        """How many shards are done at a time, by the workers that are there now."""
        threads: dict[str, int] = self.client.nthreads()
        return max(1, sum(threads.values()))

    def each(self, raw: dict[str, Any], pieces: Sequence[Range]) -> Generator[dict[str, Any]]:
        """The report of each piece as it is finished; the rest is cancelled when the iterator is closed.

        Raises:
            MigemuError: a piece failed, or killed several workers.
        """
        waiting = (self._submit(raw, piece) for piece in pieces)
        flying = self._distributed.as_completed(islice(waiting, AHEAD * self.size), loop=self.client.loop)
        open_ones: set[Any] = set(flying.futures)
        known = set(self.client.nthreads())
        try:
            for future in flying:
                open_ones.discard(future)
                yield self._report_of(future)
                known = self._look(known)
                for more in islice(waiting, 1):
                    open_ones.add(more)
                    flying.add(more)
        finally:
            if open_ones:
                self.client.cancel(list(open_ones))

    def _look(self, known: set[str]) -> set[str]:
        """Tell which of the workers are not there any more."""
        there = set(self.client.nthreads())
        for lost in sorted(known - there):
            self._on_lost(f"worker {lost} was lost; what it was doing is done again")
        return there

    def _submit(self, raw: dict[str, Any], piece: Range) -> Any:
        return self.client.submit(guarded, run_shard, raw, *piece, pure=False)

    def _report_of(self, future: Any) -> dict[str, Any]:
        try:
            done, value = future.result()
        except self._distributed.KilledWorker as error:
            raise MigemuError(f"a shard killed one worker after the other: {error}") from None
        except self._distributed.CancelledError:
            raise MigemuError("the Dask scheduler has dropped a shard; the same command goes on") from None
        if not done:
            raise value
        report: dict[str, Any] = value
        return report
