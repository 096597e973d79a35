"""The device on the source: its data fd in the saving states, and its config.

One data session is one stream: what was read in PRE_COPY, then what was read in STOP_COPY, which is the image
and after it what pre-copy has left over. The destination must write it in that order into one data fd, so one
digest covers both parts (:meth:`SaveDevice.data_digest`), and pre-copy data overtaken by multifd data (bug
B3) cannot pass for the same state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from migemu.errors import DeviceError
from migemu.vfio.content import digest_of
from migemu.vfio.device import Device
from migemu.vfio.faults import ShortReads
from migemu.vfio.generated import UNBOUNDED, Generated
from migemu.vfio.precopy import PrecopyStream
from migemu.vfio.states import PRECOPYING, SAVING, State
from migemu.wire.buffers import HeapPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Threads
    from migemu.vfio.content import Digest, Payload
    from migemu.vfio.datafd import Source
    from migemu.vfio.model import DeviceModel

PRECOPY_SEED: Final = 0x70726563
"""Sets pre-copy data apart from an image made from the same seed."""


class SaveDevice(Device):
    """A source device.

    Args:
        model: what the device is like.
        source: its image, read when it is stopped.
        threads: clock and event log.
        digest: makes an empty digest.
        config: its config state, a few KiB as a rule.
        precopy: content of its pre-copy data, readable at any offset; generated from the model's seed if
            None.

    Attributes:
        precopy_bytes: read in PRE_COPY in this session.
        stop_copy_bytes: read in STOP_COPY in this session.
        config_digest: of the config, once saved.
    """

    config_digest: str | None

    def __init__(
        self,
        model: DeviceModel,
        source: Source,
        threads: Threads,
        digest: Callable[[], Digest],
        *,
        config: bytes,
        precopy: Source | None = None,
    ) -> None:
        super().__init__(model, threads)
        self.source = source
        self.precopy = precopy or _precopy_content(model)
        self._config = config
        self._make_digest = digest
        self._short = ShortReads(model.faults, model.seed)
        self._begin_session()

    @property
    def data_bytes(self) -> int:
        """All bytes read in this session."""
        return self.precopy_bytes + self.stop_copy_bytes

    def data_digest(self) -> str:
        """Digest of all bytes read in this session, in the order they were read."""
        return self._digest.hexdigest()

    def precopy_info(self) -> tuple[int, int]:
        """VFIO_MIG_GET_PRECOPY_INFO: (initial_bytes, dirty_bytes) left to read while the device runs.

        Raises:
            DeviceStateError: not in a pre-copy state.
        """
        self.require(PRECOPYING, "VFIO_MIG_GET_PRECOPY_INFO")
        return self._stream.initial_left, self._stream.dirty_left(self.threads.now())

    def stop_copy_size(self) -> int:
        """VFIO_DEVICE_FEATURE_MIG_DATA_SIZE: bytes STOP_COPY would give now; valid in every state."""
        return self._image_left() + self._stream.left(self.threads.now())

    def read_precopy(self, limit: int) -> Payload | None:
        """At most `limit` bytes while the device runs; None for a temporary end of stream (ENOMSG).

        Raises:
            DeviceStateError: not in a pre-copy state.
            DeviceError: the read failed.
        """
        self.require(PRECOPYING, "read of pre-copy data")
        payload = self._read_stream(limit)
        self.precopy_bytes += 0 if payload is None else len(payload.view)
        return payload

    def read(self, limit: int) -> Payload | None:
        """At most `limit` bytes of the stopped device; None for the end of its state.

        Raises:
            DeviceStateError: not in STOP_COPY.
            DeviceError: the read failed.
        """
        self.require({State.STOP_COPY}, "read")
        payload = self._read_image(limit) if self._image_left() else self._read_stream(limit)
        self.stop_copy_bytes += 0 if payload is None else len(payload.view)
        return payload

    def save_config(self) -> bytes:
        """The config state; takes the time the model says.

        Raises:
            DeviceStateError: the device is not stopped, its config could still change.
            CancelledMigrationError: cancelled meanwhile.
        """
        self.require({State.STOP_COPY, State.STOP}, "saving the config")
        self._take_time(self.model.config_save_time, "saving the config")
        self.config_digest = digest_of(self._config, self._make_digest)
        return self._config

    def close(self) -> None:
        """Close the image and the pre-copy content."""
        self.source.close()
        if self.precopy is not None:
            self.precopy.close()

    def reset(self) -> None:
        """Back to RUNNING; a session under way is forgotten."""
        super().reset()
        self._begin_session()

    def _image_left(self) -> int:
        return self.source.size - self._image_read

    def _read_image(self, limit: int) -> Payload:
        size = self._short.cut(min(limit, self._image_left()))
        payload = self._read(self.source, self._image_read, size)
        self._image_read += size
        return payload

    def _read_stream(self, limit: int) -> Payload | None:
        size = self._short.cut(self._stream.next_size(self.threads.now(), limit))
        if not size or self.precopy is None:
            return None
        payload = self._read(self.precopy, self._stream.offset, size)
        self._stream.read(size)
        return payload

    def _read(self, source: Source, offset: int, size: int) -> Payload:
        """One read of the data fd: it takes its time, and the digest covers what it gave."""
        self._pacer.begin()
        payload = self._fetch(source, offset, size)
        self._digest.update(payload.view)
        self._pacer.end(size)
        return payload

    def _fetch(self, source: Source, offset: int, size: int) -> Payload:
        try:
            return source.read(offset, size)
        except DeviceError as error:
            raise error.at(device=self.model.name) from None
        except OSError as error:
            raise DeviceError(f"read at offset {offset} failed: {error}", device=self.model.name) from error

    def _leave(self, state: State, to: State) -> None:
        """Reads and tracking follow the state: a new session, or an end of dirtying."""
        if state not in SAVING and to in SAVING:
            self._begin_session()
        if state is State.PRE_COPY:
            self._stream.freeze(self.threads.now())

    def _enter(self, state: State) -> None:
        super()._enter(state)
        if state is State.PRE_COPY:
            self._stream.track(self.threads.now())

    def _begin_session(self) -> None:
        """A new data fd: everything is to be read again."""
        model = self.model
        sizes = (model.initial_size, model.precopy_size) if model.precopy else (0, 0)
        self._stream = PrecopyStream(*sizes, model.precopy_dirty_rate)
        self._image_read = 0
        self._digest = self._make_digest()
        self._pacer = self._make_pacer(model.read_rate)
        self.precopy_bytes = 0
        self.stop_copy_bytes = 0
        self.config_digest = None


def _precopy_content(model: DeviceModel) -> Source | None:
    return Generated(model.seed ^ PRECOPY_SEED, UNBOUNDED, HeapPool()) if model.precopy else None
