"""The source device: what it gives out in which state, and that the digest is over exactly that."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import xxhash

from migemu.errors import CancelledMigrationError, DeviceError, DeviceStateError
from migemu.vfio.content import as_bytes, digest_maker
from migemu.vfio.datafd import open_source
from migemu.vfio.model import DeviceModel, Faults
from migemu.vfio.save import SaveDevice
from migemu.vfio.states import State
from migemu.wire.buffers import HeapPool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migemu.vfio.content import Payload
    from vfio.conftest import Clock

NAME = "0000:00:01.0/vfio"
MAKE = digest_maker("xxh3_128")


def device(clock: Clock, size: int = 10_000, path: Path | None = None, **model: object) -> SaveDevice:
    source = open_source(path, size, 1, HeapPool())
    return SaveDevice(DeviceModel(NAME, seed=1, **model), source, clock, MAKE, config=b"the config")  # type: ignore[arg-type]  # fields by name


def drain(read: Callable[[int], Payload | None], limit: int) -> list[bytes]:
    parts = []
    while (payload := read(limit)) is not None:
        parts.append(bytes(as_bytes(payload.view)))
        payload.release()
    return parts


def test_a_plain_device_is_read_in_stop_copy_only(clock: Clock, tmp_path: Path) -> None:
    content = os.urandom(10_000)
    (tmp_path / "state").write_bytes(content)
    saved = device(clock, path=tmp_path / "state", transition_times={State.STOP_COPY: 0.25})
    with pytest.raises(DeviceStateError, match="read in RUNNING, allowed in STOP_COPY"):
        saved.read(4096)
    saved.set_state(State.STOP_COPY)
    assert [f["state"] for f in clock.told("vfio_migration_set_device_state")] == [
        "RUNNING_P2P",
        "STOP",
        "STOP_COPY",
    ]
    assert clock.time == 100.25
    parts = drain(saved.read, 4096)
    assert [len(part) for part in parts] == [4096, 4096, 1808]
    assert b"".join(parts) == content
    assert saved.data_digest() == xxhash.xxh3_128_hexdigest(content)
    assert saved.read(4096) is None
    saved.close()


def test_precopy_gives_initial_bytes_then_dirtied_ones_then_a_temporary_end(clock: Clock) -> None:
    saved = device(clock, precopy=True, initial_size=1000, precopy_size=500, precopy_dirty_rate=100.0)
    saved.set_state(State.PRE_COPY)
    assert saved.precopy_info() == (1000, 500)
    assert saved.stop_copy_size() == 11_500
    first = drain(saved.read_precopy, 800)
    assert [len(part) for part in first] == [800, 200, 500]
    assert saved.precopy_info() == (0, 0)
    clock.sleep(2)
    assert saved.precopy_info() == (0, 200)
    clock.sleep(3600)
    assert saved.precopy_info() == (0, 500)
    with pytest.raises(DeviceStateError, match="read in PRE_COPY"):
        saved.read(1)


def test_what_precopy_left_over_comes_after_the_image_and_one_digest_covers_all(clock: Clock) -> None:
    saved = device(clock, precopy=True, initial_size=1000, precopy_size=500, precopy_dirty_rate=100.0)
    saved.set_state(State.PRE_COPY)
    stream = drain(saved.read_precopy, 4096)
    clock.sleep(3)
    saved.set_state(State.PRE_COPY_P2P)
    clock.sleep(3600)
    assert saved.precopy_info() == (0, 300), "a quiesced device dirties nothing"
    saved.set_state(State.STOP_COPY)
    rest = drain(saved.read, 8000)
    assert [len(part) for part in rest] == [8000, 2000, 300]
    assert (saved.precopy_bytes, saved.stop_copy_bytes, saved.data_bytes) == (1500, 10_300, 11_800)
    assert saved.data_digest() == xxhash.xxh3_128_hexdigest(b"".join(stream + rest))
    assert rest[2] not in b"".join(stream), "dirtied data is new data"


def test_a_cancelled_session_is_forgotten_and_the_next_one_saves_everything(clock: Clock) -> None:
    saved = device(clock, precopy=True, initial_size=100)
    whole = saved.stop_copy_size()
    saved.set_state(State.PRE_COPY)
    drain(saved.read_precopy, 4096)
    saved.set_state(State.STOP_COPY)
    saved.read(4096)
    saved.set_state(State.RUNNING)
    saved.set_state(State.STOP_COPY)
    assert saved.stop_copy_size() == whole
    assert sum(map(len, drain(saved.read, 4096))) == whole == saved.data_bytes


def test_the_read_rate_counts_over_all_reads(clock: Clock) -> None:
    saved = device(clock, size=100_000, read_rate=10_000.0)
    saved.set_state(State.STOP_COPY)
    drain(saved.read, 4096)
    assert clock.time == pytest.approx(110.0)


def test_short_reads_lose_nothing_and_repeat_with_the_seed(clock: Clock) -> None:
    runs = []
    for _ in range(2):
        saved = device(clock, faults=Faults(read_partial=True))
        saved.set_state(State.STOP_COPY)
        runs.append(drain(saved.read, 4096))
    assert runs[0] == runs[1]
    assert len(runs[0]) > 3
    assert sum(map(len, runs[0])) == 10_000


def test_the_config_is_saved_once_the_device_has_stopped(clock: Clock) -> None:
    saved = device(clock, config_save_time=0.5)
    with pytest.raises(DeviceStateError, match="saving the config in RUNNING, allowed in STOP or STOP_COPY"):
        saved.save_config()
    saved.set_state(State.STOP)
    assert saved.save_config() == b"the config"
    assert clock.time == 100.5
    assert saved.config_digest == xxhash.xxh3_128_hexdigest(b"the config")
    saved.cancel()
    with pytest.raises(CancelledMigrationError):
        saved.save_config()


def test_precopy_is_asked_and_read_while_the_device_runs_only(clock: Clock) -> None:
    saved = device(clock, precopy=True, initial_size=10)
    allowed = "in RUNNING, allowed in PRE_COPY or PRE_COPY_P2P"
    with pytest.raises(DeviceStateError, match=f"VFIO_MIG_GET_PRECOPY_INFO {allowed}"):
        saved.precopy_info()
    with pytest.raises(DeviceStateError, match=f"read of pre-copy data {allowed}"):
        saved.read_precopy(10)


def test_a_failing_image_names_its_device(clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(bytes(10_000))
    saved = device(clock, path=tmp_path / "state")
    saved.set_state(State.STOP_COPY)
    os.truncate(tmp_path / "state", 10)
    with pytest.raises(DeviceError, match="shrank") as caught:
        saved.read(4096)
    assert caught.value.device == NAME


def test_an_empty_device_is_at_its_end_at_once(clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    saved = device(clock, path=tmp_path / "empty")
    saved.set_state(State.STOP_COPY)
    assert saved.read(4096) is None
    assert saved.data_digest() == xxhash.xxh3_128_hexdigest(b"")
