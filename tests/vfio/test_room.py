"""The whole room together: source devices, channels, reassembly under a cap, destination devices."""

from __future__ import annotations

import math
import random
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from migemu.errors import ConfigError, WireError
from migemu.vfio.content import digest_maker
from migemu.vfio.datafd import open_sink, open_source
from migemu.vfio.load import LoadDevice
from migemu.vfio.model import DeviceModel, Faults, Platform
from migemu.vfio.pausing import PausingFlow
from migemu.vfio.reassembly import StateBuffers
from migemu.vfio.save import SaveDevice
from migemu.vfio.states import State
from migemu.vfio.virtual import VirtualDigest, VirtualSink, VirtualSource, VirtualSpan
from migemu.wire.buffers import HeapPool

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.vfio.content import Payload
    from vfio.conftest import Log

PACKET = 100_000
NAMES = [f"0000:00:0{number}.0/vfio" for number in range(3)]


class Channel:
    """A multifd channel and its receiver, which asks the flow before it takes a payload."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.packets: deque[tuple[str, int, Payload, bool]] = deque()
        self.paused = False

    def step(self, flow: PausingFlow, buffers: dict[str, StateBuffers]) -> None:
        name, idx, payload, is_config = self.packets[0]
        if not flow.admit(self.number, name, idx, len(payload.view), is_config=is_config):
            self.paused = True
            return
        self.packets.popleft()
        buffers[name].insert(idx, payload, is_config)


def save_all(saved: SaveDevice, channels: list[Channel], rng: random.Random) -> None:
    """What a save thread does: packets to whichever channel is free."""
    saved.set_state(State.STOP_COPY)
    idx = 0
    while (payload := saved.read(PACKET)) is not None:
        rng.choice(channels).packets.append((saved.model.name, idx, payload, False))
        idx += 1
    config = HeapPool().take(len(saved.save_config()))
    config.view[:] = saved.save_config()
    rng.choice(channels).packets.append((saved.model.name, idx, config, True))


def test_files_go_through_three_channels_under_a_cap_and_come_out_as_they_were(
    log: Log, tmp_path: Path
) -> None:
    rng = random.Random(11)  # noqa: S311 - a repeatable story
    make = digest_maker("xxh3_128")
    channels = [Channel(number) for number in range(3)]
    saved: dict[str, SaveDevice] = {}
    loaded: dict[str, LoadDevice] = {}
    bql = log.lock("BQL")
    flow = PausingFlow(
        log,
        range(3),
        per_device=5 * PACKET,
        total=None,
        on_resume=lambda number: setattr(channels[number], "paused", False),
    )
    buffers = {name: StateBuffers(name, log, flow=flow) for name in NAMES}
    platform = Platform(needs_interrupt_controller=False)
    for number, name in enumerate(NAMES):
        (tmp_path / f"state{number}").write_bytes(rng.randbytes(PACKET * 6 * number + 17 * number))
        model = DeviceModel(name, faults=Faults(partial_writes=True), seed=number)
        source = open_source(tmp_path / f"state{number}", 0, 0, HeapPool())
        saved[name] = SaveDevice(model, source, log, make, config=name.encode())
        loaded[name] = LoadDevice(model, open_sink(tmp_path / f"kept{number}"), log, bql, platform, make)
        loaded[name].load_setup()
        save_all(saved[name], channels, rng)

    def load(name: str) -> None:
        buffers[name].load_data(loaded[name].write, lambda: math.inf)
        item = buffers[name].take_config()
        with bql:
            loaded[name].load_config(item.payload.view, item.idx)
        buffers[name].done(item)

    loaders = [log.run(f"load {name}", partial(load, name)) for name in NAMES]
    while open_channels := [channel for channel in channels if channel.packets]:
        ready = [channel for channel in open_channels if not channel.paused]
        rng.choice(ready).step(flow, buffers) if ready else log.sleep(0.001)
    for number in range(3):
        flow.ended(number)
    assert all(thread.join(20) for thread, _ in loaders)
    assert [error for _, errors in loaders for error in errors] == []
    for number, name in enumerate(NAMES):
        assert buffers[name].stats.peak_bytes <= 6 * PACKET + len(name)
        assert loaded[name].data_digest() == saved[name].data_digest()
        assert loaded[name].config_digest == saved[name].config_digest
        loaded[name].start()
        loaded[name].sink.commit()
        loaded[name].close()
        saved[name].close()
        assert (tmp_path / f"kept{number}").read_bytes() == (tmp_path / f"state{number}").read_bytes()


def test_what_the_flow_finds_while_loading_fails_the_reassembly(log: Log, payload: Any) -> None:
    """Both channels are past idx 1 when the loader comes to need it: it is told, not left to its deadline."""
    flow = PausingFlow(log, [0, 1], per_device=1, total=None, on_resume=lambda _channel: None)
    buffers = StateBuffers(NAMES[0], log, flow=flow)
    assert [flow.admit(channel, NAMES[0], idx, 1) for channel, idx in ((0, 0), (0, 2), (1, 3))] == [
        True,
        False,
        False,
    ]
    buffers.insert(0, payload(b"x"))
    with pytest.raises(WireError, match="the packet is lost: it needs idx 1"):
        buffers.load_data(lambda _idx, _span: None, lambda: math.inf)
    assert buffers.want_exit


def test_a_virtual_run_of_the_same_code_takes_the_modelled_time_and_checks_the_content(clock: Any) -> None:
    size = 2**30
    model = DeviceModel(NAMES[0], read_rate=2.0**30, write_rate=2.0**29)
    saved = SaveDevice(model, VirtualSource("vf", size), clock, VirtualDigest, config=b"c")
    loaded = LoadDevice(model, VirtualSink(), clock, clock.lock("BQL"), Platform(), VirtualDigest)
    buffers = StateBuffers(NAMES[0], clock, config_on_multifd=False)
    loaded.load_setup()
    saved.set_state(State.STOP_COPY)
    idx = 0
    while (payload := saved.read(2**20)) is not None:
        buffers.insert(idx, payload)
        idx += 1
    assert clock.time == pytest.approx(101.0)
    buffers.set_data_count(idx)
    buffers.load_data(loaded.write, lambda: clock.time + 5)
    assert clock.time == pytest.approx(103.0)
    assert loaded.data_digest() == saved.data_digest()
    assert buffers.stats.peak_bytes == size


def test_a_virtual_digest_sees_what_was_lost_swapped_or_doubled_but_not_the_cuts() -> None:
    def digest(*spans: tuple[int, int]) -> str:
        made = VirtualDigest()
        for offset, size in spans:
            made.update(VirtualSpan("vf", offset, size))
        return made.hexdigest()

    whole = digest((0, 100))
    assert digest((0, 30), (30, 0), (30, 70)) == whole
    wrong = [
        digest((0, 99)),
        digest((30, 70), (0, 30)),
        digest((0, 100), (0, 100)),
        digest((0, 30), (31, 69)),
    ]
    assert len({whole, *wrong}) == 5
    assert VirtualSpan("vf", 10, 50)[20:] == VirtualSpan("vf", 30, 30)


def test_an_impossible_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="write_rate cannot be negative"):
        DeviceModel(NAMES[0], write_rate=-1.0)
    with pytest.raises(ConfigError, match="a rate of 0 would never end"):
        DeviceModel(NAMES[0], read_rate=0)
    with pytest.raises(ConfigError, match="unknown digest 'md5': use one of sha256, xxh3_128"):
        digest_maker("md5")
