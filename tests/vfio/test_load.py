"""The destination device: what it takes, what it refuses, and what it says when it does."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
import xxhash

from migemu.errors import CancelledMigrationError, DeviceError, DeviceStateError
from migemu.vfio.content import as_bytes, digest_maker
from migemu.vfio.load import LoadDevice
from migemu.vfio.model import DeviceModel, Faults, Platform
from migemu.vfio.states import State

if TYPE_CHECKING:
    from migemu.vfio.content import Span
    from vfio.conftest import Clock, Log

NAME = "0000:00:01.0/vfio"
DATA = [b"first" * 100, b"second" * 100, b"third" * 100]
CONFIG = b"pci config"


class Tape:
    """A sink that keeps what it took; takes at most `most` bytes at a time."""

    def __init__(self, most: int = 2**30) -> None:
        self.kept = b""
        self.most = most

    def write(self, span: Span) -> int:
        self.kept += bytes(as_bytes(span)[: self.most])
        return min(len(span), self.most)

    def commit(self) -> None: ...

    def reset(self) -> None:
        self.kept = b""

    def close(self) -> None: ...


def device(
    log: Log, sink: Tape | None = None, platform: Platform | None = None, **model: object
) -> LoadDevice:
    made = DeviceModel(NAME, seed=5, **model)  # type: ignore[arg-type]  # fields by name
    ready = platform or Platform(interrupt_controller_in=True)
    loaded = LoadDevice(made, sink or Tape(), log, log.lock("BQL"), ready, digest_maker("xxh3_128"))
    loaded.load_setup()
    return loaded


def load_data(loaded: LoadDevice) -> None:
    for idx, part in enumerate(DATA):
        loaded.write(idx, memoryview(part))


def refused(log: Log) -> list[object]:
    """The invariants that were reported broken."""
    return [fields["name"] for fields in log.told("invariant") if not fields["ok"]]


def test_a_device_is_loaded_and_runs(clock: Clock) -> None:
    tape = Tape()
    loaded = device(clock, tape, write_rate=1600.0, config_load_time=0.07)
    load_data(loaded)
    with loaded.bql:
        loaded.load_config(memoryview(CONFIG), 3)
    loaded.start()
    assert tape.kept == b"".join(DATA)
    assert loaded.data_digest() == xxhash.xxh3_128_hexdigest(tape.kept)
    assert loaded.config_digest == xxhash.xxh3_128_hexdigest(CONFIG)
    assert loaded.load_time == pytest.approx(1.0)
    assert loaded.config_time == pytest.approx(0.07)
    states = [fields["state"] for fields in clock.told("vfio_migration_set_device_state")]
    assert states == ["RUNNING_P2P", "STOP", "RESUMING", "STOP", "RUNNING_P2P", "RUNNING"]
    assert [f["idx"] for f in clock.told("vfio_load_state_device_buffer_load_end")] == [0, 1, 2]


@pytest.mark.parametrize("most", [1, 7, 499])
def test_short_writes_lose_nothing(log: Log, most: int) -> None:
    tape = Tape(most)
    loaded = device(log, tape)
    load_data(loaded)
    assert tape.kept == b"".join(DATA)


def test_a_loader_without_a_loop_would_not_pass_for_intact(log: Log) -> None:
    class Hasty(LoadDevice):
        def _write_all(self, span: Span) -> None:
            self._write_some(span)

    made = DeviceModel(NAME, faults=Faults(partial_writes=True))
    hasty = Hasty(made, Tape(), log, log.lock("BQL"), Platform())
    hasty.load_setup()
    load_data(hasty)
    assert hasty.data_digest() != xxhash.xxh3_128_hexdigest(b"".join(DATA))


def test_precopy_data_goes_first_into_the_same_stream(log: Log) -> None:
    tape = Tape()
    loaded = device(log, tape)
    loaded.write_precopy(memoryview(b"early"))
    loaded.write(0, memoryview(b"late"))
    assert tape.kept == b"earlylate"
    with pytest.raises(DeviceError, match="pre-copy data after stop-copy buffer 0"):
        loaded.write_precopy(memoryview(b"too late"))
    assert refused(log) == ["data-in-order"]


@pytest.mark.parametrize("idx", [0, 2])
def test_a_buffer_out_of_turn_is_refused(log: Log, idx: int) -> None:
    loaded = device(log)
    loaded.write(0, memoryview(b"zero"))
    with pytest.raises(DeviceError, match=f"data buffer {idx} written where 1 comes next"):
        loaded.write(idx, memoryview(b"?"))
    assert refused(log) == ["data-in-order"]


def test_a_config_before_the_last_buffer_is_refused(log: Log) -> None:
    loaded = device(log)
    loaded.write(0, memoryview(b"zero"))
    with loaded.bql, pytest.raises(DeviceError, match="with 1 of 3 data buffers in") as caught:
        loaded.load_config(CONFIG, 3)
    assert (caught.value.device, refused(log)) == (NAME, ["config-last"])


def test_data_after_the_config_and_a_second_config_are_refused(log: Log) -> None:
    loaded = device(log)
    with loaded.bql:
        loaded.load_config(CONFIG, 0)
        with pytest.raises(DeviceError, match="loaded twice"):
            loaded.load_config(CONFIG, 0)
    with pytest.raises(DeviceError, match="written after the config"):
        loaded.write(0, memoryview(b"late"))


def test_a_config_before_the_interrupt_controller_is_refused_where_the_platform_needs_it(log: Log) -> None:
    platform = Platform()
    loaded = device(log, platform=platform)
    with loaded.bql:
        with pytest.raises(DeviceError, match="before the interrupt controller"):
            loaded.load_config(CONFIG, 0)
        platform.interrupt_controller_loaded()
        loaded.load_config(CONFIG, 0)
    assert refused(log) == ["config-after-iterables"]


def test_a_config_without_the_bql_is_refused_unless_the_design_is_reentrant(log: Log) -> None:
    loaded = device(log)
    with pytest.raises(DeviceError, match="without the BQL"):
        loaded.load_config(CONFIG, 0)
    assert refused(log) == ["bql-for-config"]
    reentrant = Platform(needs_interrupt_controller=False, config_needs_bql=False)
    device(log, platform=reentrant).load_config(CONFIG, 0)


def test_a_device_without_its_config_does_not_run(log: Log) -> None:
    loaded = device(log)
    load_data(loaded)
    with pytest.raises(DeviceError, match="cannot leave RESUMING"):
        loaded.start()
    assert loaded.state is State.RESUMING
    assert refused(log) == ["start-after-all"]


def test_nothing_is_written_outside_resuming(log: Log) -> None:
    loaded = device(log)
    loaded.reset()
    with pytest.raises(DeviceStateError, match="RUNNING, allowed in RESUMING"):
        loaded.write(0, memoryview(b"x"))
    with pytest.raises(DeviceStateError, match="RUNNING, allowed in RESUMING"):
        loaded.load_config(CONFIG, 0)
    with pytest.raises(DeviceStateError, match="RUNNING, allowed in RESUMING"):
        loaded.write_precopy(memoryview(b"x"))


def test_a_failed_write_breaks_the_device_until_it_is_reset(log: Log) -> None:
    loaded = device(log, faults=Faults(write_error_at=700))
    loaded.write(0, memoryview(DATA[0]))
    with pytest.raises(DeviceError, match=r"offset 500 failed: Input/output error.*ERROR until it is reset"):
        loaded.write(1, memoryview(DATA[1]))
    with pytest.raises(DeviceStateError, match="write in ERROR"):
        loaded.write(1, memoryview(DATA[1]))
    with pytest.raises(DeviceStateError, match="only a reset"):
        loaded.start()
    loaded.reset()
    loaded.load_setup()
    assert (loaded.next_idx, loaded.data_bytes) == (0, 0)
    loaded.write(0, memoryview(DATA[0]))


def test_a_full_disk_and_a_fd_that_takes_nothing_are_errors(log: Log) -> None:
    class Full(Tape):
        def write(self, _span: Span) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DeviceError, match="No space left"):
        device(log, Full()).write(0, memoryview(b"x"))
    with pytest.raises(DeviceError, match="takes no more at offset 0"):
        device(log, Tape(0)).write(0, memoryview(b"x"))


def test_a_stalled_device_goes_on_after_its_time_or_is_cut_short(clock: Clock) -> None:
    loaded = device(clock, faults=Faults(stall_at=600, stall_time=30.0), config_load_time=5.0)
    load_data(loaded)
    assert clock.time == pytest.approx(130.0)
    loaded.cancel()
    with loaded.bql, pytest.raises(CancelledMigrationError):
        loaded.load_config(CONFIG, 3)
    assert clock.time == pytest.approx(130.0)


def test_transitions_end_early_when_cancelled_so_that_a_failed_side_is_soon_back(clock: Clock) -> None:
    loaded = device(clock, transition_times={State.RESUMING: 0.05, State.STOP: 600.0})
    before = clock.time
    with loaded.bql:
        loaded.load_config(CONFIG, 0)
    loaded.cancel()
    loaded.start()
    assert loaded.state is State.RUNNING
    assert clock.time == before


def test_a_refused_transition_leaves_the_device_where_it_was(log: Log) -> None:
    loaded = device(log, p2p=False)
    with pytest.raises(DeviceStateError, match="no state RUNNING_P2P") as caught:
        loaded.set_state(State.RUNNING_P2P)
    assert (caught.value.device, loaded.state) == (NAME, State.RESUMING)


def test_a_second_attempt_starts_from_nothing(log: Log) -> None:
    tape = Tape()
    loaded = device(log, tape)
    load_data(loaded)
    with loaded.bql:
        loaded.load_config(CONFIG, 3)
    loaded.reset()
    loaded.load_setup()
    assert (tape.kept, loaded.data_bytes, loaded.config_digest) == (b"", 0, None)
    load_data(loaded)
    assert tape.kept == b"".join(DATA)
