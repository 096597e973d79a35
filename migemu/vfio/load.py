"""The device on the destination: its data fd in RESUMING, its config, and what the hardware refuses.

The refusals are how broken code shows itself: a data buffer out of turn, data after the config, a config
before the last data buffer, before the interrupt controller or without the BQL. Each is a
:class:`DeviceError` (a real device or kernel fails the call), and each says in an ``invariant`` event which
rule of the house it broke.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import DeviceError
from migemu.vfio.content import digest_maker
from migemu.vfio.device import Device
from migemu.vfio.faults import FaultySink
from migemu.vfio.states import LOADING, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Lock, Threads
    from migemu.vfio.content import Digest, Span
    from migemu.vfio.model import DeviceModel, Platform
    from migemu.vfio.sinks import Sink


class LoadDevice(Device):
    """A destination device.

    Args:
        model: what the device is like.
        sink: behind its data fd.
        threads: clock and event log.
        bql: the big lock; only asked whether the caller holds it.
        platform: what the machine asks of a config load.
        digest: makes an empty digest.

    Attributes:
        next_idx: the data buffer the device takes next; also how many it has.
        data_bytes: written in this session, pre-copy data included.
        load_time: seconds spent in writes of data.
        config_time: seconds spent loading the config.
        config_digest: of the config, once loaded.
    """

    config_digest: str | None

    def __init__(
        self,
        model: DeviceModel,
        sink: Sink,
        threads: Threads,
        bql: Lock,
        platform: Platform,
        digest: Callable[[], Digest] = digest_maker("xxh3_128"),  # noqa: B008 - a function, looked up once
    ) -> None:
        super().__init__(model, threads)
        self.sink: Sink = FaultySink(sink, model.faults, model.seed, self.sleeper)
        self.bql = bql
        self.platform = platform
        self._make_digest = digest
        self._begin_session()

    def load_setup(self) -> None:
        """Enter RESUMING, before any section of the device is read."""
        self.set_state(State.RESUMING)
        self.threads.point("vfio_load_setup", device=self.model.name)

    def data_digest(self) -> str:
        """Digest of all bytes the device took, in the order it took them."""
        return self._digest.hexdigest()

    def write_precopy(self, span: Span) -> None:
        """Write pre-copy data from the main channel.

        Raises:
            DeviceStateError: not in RESUMING.
            DeviceError: stop-copy data is in already, or the write failed.
        """
        self.require(LOADING, "write of pre-copy data")
        self._refuse_late_precopy()
        self._write(span)

    def write(self, idx: int, span: Span) -> None:
        """Write the data buffer `idx`, all of it, however little the data fd takes at a time.

        Raises:
            DeviceStateError: not in RESUMING.
            DeviceError: not this buffer's turn, the config is in already, or the write failed.
        """
        self.require(LOADING, "write")
        self._refuse_out_of_turn(idx)
        self._refuse_after_config(idx)
        where = {"device": self.model.name, "idx": idx, "bytes": len(span)}
        self.threads.point("vfio_load_state_device_buffer_load_start", **where)
        self._write(span)
        self.next_idx = idx + 1
        self.threads.point("vfio_load_state_device_buffer_load_end", **where)

    def load_config(self, data: Span | bytes, expected_idx: int) -> None:
        """Load the config state: what makes the device one that can run.

        Args:
            data: the config, as saved.
            expected_idx: the config packet's idx, or the number of data buffers where the config travels
                apart.

        Raises:
            DeviceStateError: not in RESUMING.
            DeviceError: data is missing, or the platform does not allow it now.
            CancelledMigrationError: cancelled meanwhile.
        """
        self.require(LOADING, "loading the config")
        self._refuse_early_config(expected_idx)
        self._refuse_second_config()
        self._refuse_without_interrupt_controller()
        self._refuse_without_bql()
        where = {"device": self.model.name, "bytes": len(data)}
        self.threads.point("vfio_load_device_config_state_start", **where)
        started = self.threads.now()
        self._take_time(self.model.config_load_time, "loading the config")
        self._take_config(data)
        self.config_time = self.threads.now() - started
        self.threads.point("vfio_load_device_config_state_end", **where)

    def start(self) -> None:
        """Leave RESUMING and run.

        Raises:
            DeviceError: the device has no config yet.
        """
        self.set_state(State.RUNNING)

    def reset(self) -> None:
        """Back to RUNNING; what was loaded is gone."""
        super().reset()
        self.sink.reset()
        self._begin_session()

    def close(self) -> None:
        """Close the data fd."""
        self.sink.close()

    def _write(self, span: Span) -> None:
        started = self.threads.now()
        self._pacer.begin()
        self._write_all(span)
        self._pacer.end(len(span))
        self.load_time += self.threads.now() - started

    def _write_all(self, span: Span) -> None:
        """A data fd may take a prefix: go on with the rest (bug B8)."""
        while len(span):
            span = span[self._write_some(span) :]

    def _write_some(self, span: Span) -> int:
        """One write; the digest covers exactly what was taken."""
        try:
            count = self.sink.write(span)
        except OSError as error:
            raise self.fail(f"write at offset {self.data_bytes} failed: {error.strerror}") from error
        if count <= 0:
            raise self.fail(f"the data fd takes no more at offset {self.data_bytes}")
        self._digest.update(span[:count])
        self.data_bytes += count
        return count

    def _take_config(self, data: Span | bytes) -> None:
        digest = self._make_digest()
        digest.update(data)
        self.config_digest = digest.hexdigest()

    def _leave(self, state: State, to: State) -> None:
        """Leaving RESUMING ends the session: an incomplete state is refused, as the uAPI asks."""
        super()._leave(state, to)
        if state is State.RESUMING and self.config_digest is None:
            self._refuse(
                "start-after-all", "the device cannot leave RESUMING: its config has not been loaded"
            )
        if state is State.STOP and to is State.RESUMING:
            self._begin_session()

    def _refuse_late_precopy(self) -> None:
        if self.next_idx or self.config_digest is not None:
            self._refuse("data-in-order", f"pre-copy data after stop-copy buffer {self.next_idx - 1}")

    def _refuse_out_of_turn(self, idx: int) -> None:
        if idx != self.next_idx:
            self._refuse("data-in-order", f"data buffer {idx} written where {self.next_idx} comes next", idx)

    def _refuse_after_config(self, idx: int) -> None:
        if self.config_digest is not None:
            self._refuse("config-last", f"data buffer {idx} written after the config", idx)

    def _refuse_early_config(self, expected_idx: int) -> None:
        if self.next_idx != expected_idx:
            told = f"config loaded with {self.next_idx} of {expected_idx} data buffers in"
            self._refuse("config-last", told, expected_idx)

    def _refuse_second_config(self) -> None:
        if self.config_digest is not None:
            self._refuse("config-last", "config loaded twice")

    def _refuse_without_interrupt_controller(self) -> None:
        if self.platform.needs_interrupt_controller and not self.platform.interrupt_controller_in:
            told = "config loaded before the interrupt controller: enabling MSI failed"
            self._refuse("config-after-iterables", told)

    def _refuse_without_bql(self) -> None:
        if self.platform.config_needs_bql and not self.bql.held():
            told = f"config loaded by {self.threads.current()} without the BQL"
            self._refuse("bql-for-config", told)

    def _refuse(self, invariant: str, detail: str, idx: int | None = None) -> None:
        """Say which rule was broken, and fail the call."""
        name = self.model.name
        self.threads.point("invariant", name=invariant, ok=False, detail=detail, device=name)
        raise DeviceError(f"{detail} (invariant {invariant})", device=name, idx=idx)

    def _begin_session(self) -> None:
        """A new data fd: nothing is in."""
        self._digest = self._make_digest()
        self._pacer = self._make_pacer(self.model.write_rate)
        self.next_idx = 0
        self.data_bytes = 0
        self.load_time = 0.0
        self.config_time = 0.0
        self.config_digest = None
