"""What the source sends under a design, and what it waits for before it does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from handoff.scene import Scene
from migemu.handoff import HANDOFFS
from migemu.handoff.choice import for_machine
from migemu.source.switchover import Switchover
from migemu.threads.sync import Abort, Patience, Pool
from migemu.wire import extension
from migemu.wire.mainstream import SWITCHOVER_START

A, B = "A/vfio", "B/vfio"
SAVED = "vfio_save_complete_precopy_thread_end"


class Recorder:
    """Takes every call and remembers those that matter."""

    def __init__(self, scene: Scene) -> None:
        self.calls: list[str] = []
        self._scene = scene

    def command(self, number: int, _data: bytes = b"") -> None:
        self.calls.append(f"command {number}")

    def device_data(self, view: memoryview) -> None:
        self.calls.append(f"data {bytes(view).decode()}")

    def device_end_begin(self, number: int) -> None:
        self.calls.append(f"end {number}")

    def device_full(self, number: int, _device: Any, _design: Any, *, buffers: int, config: Any) -> None:
        self.calls.append(f"full {number} buffers {buffers} config {config and config.decode()}")
        self._scene.changed()

    def __getattr__(self, name: str) -> Any:
        """Barriers, footers, flushes: nothing these stories ask about."""
        return lambda *_, **__: None


class SavedDevice:
    """A stopped device of two buffers."""

    def __init__(self, name: str) -> None:
        self.model = SimpleNamespace(name=name, instance=0)
        self.stop_copy_bytes = 0
        self._pieces = [f"{name[0]}0", f"{name[0]}1"]

    def set_state(self, state: Any) -> None:
        """It is stopped."""

    def read(self, _limit: int) -> Any:
        if not self._pieces:
            return None
        return SimpleNamespace(view=memoryview(self._pieces.pop(0).encode()), release=lambda: None)

    def save_config(self) -> bytes:
        return b"cfg"


class Source:
    """A source's switchover, everything round it made up."""

    def __init__(self, design: str, machine: str = "11.1") -> None:
        self.scene = Scene()
        self.stream = Recorder(self.scene)
        self.packets: list[tuple[str, bytes]] = []
        abort, patience = Abort(self.scene), Patience(self.scene, 20.0)
        done = SimpleNamespace(pages=0, zero=0, bytes=0)
        self.parts: Any = SimpleNamespace(
            scenario=SimpleNamespace(machine=machine, migration=SimpleNamespace(packet_size=64)),
            design=for_machine(design, machine).design,
            threads=self.scene,
            abort=abort,
            patience=patience,
            pool=Pool(self.scene, abort, "save threads"),
            main=self.stream,
            channels=SimpleNamespace(send=self._send),
            vm=SimpleNamespace(devices=[SavedDevice(A), SavedDevice(B)], stop=lambda: None),
            ram=SimpleNamespace(send_dirty=lambda **_: done, sync=lambda: None),
            stream=self.stream,
            extended=True,
        )

    def _send(self, packet: Any) -> int:
        self.packets.append((self.scene.current(), bytes(packet.payload)))
        return 0

    def switch_over(self) -> None:
        """The whole switchover."""
        Switchover(self.parts).run()

    def run(self) -> list[str]:
        """...and what was written of it."""
        self.switch_over()
        return self.stream.calls


def test_blocking_wait_waits_for_one_save_thread_at_a_time() -> None:
    """A's section is out while B is still being saved: a semaphore per device, on the source too."""
    source = Source("blocking-wait")
    slow = source.scene.gate(SAVED, device=B)
    thread = source.scene.spawn("migration", source.switch_over)
    source.scene.until(lambda: "full 0 buffers 2 config cfg" in source.stream.calls, "A's section")
    source.scene.until_waits("migration", f"saved {B} posted")
    assert not slow.opened.is_set()
    slow.open()
    assert thread.join(10)
    assert source.stream.calls[-1] == "full 1 buffers 2 config cfg"


def test_other_designs_join_all_save_threads_before_the_first_section() -> None:
    source = Source("non-iterable")
    slow = source.scene.gate(SAVED, device=B)
    thread = source.scene.spawn("migration", source.switch_over)
    source.scene.until_waits("migration", "save threads ended")
    assert not [call for call in source.stream.calls if call.startswith("full")]
    slow.open()
    assert thread.join(10)


def test_main_channel_reads_one_device_after_the_other_on_the_migration_thread() -> None:
    source = Source("main-channel")
    calls = source.run()
    assert [call for call in calls if call.startswith(("end", "data"))] == [
        "end 0",
        "data A0",
        "data A1",
        "end 1",
        "data B0",
        "data B1",
    ]
    assert source.packets == []
    assert {told.thread for told in source.scene.told(SAVED)} == {source.scene.current()}


@pytest.mark.parametrize("design", HANDOFFS)
def test_config_travels_where_the_table_says(design: str) -> None:
    source = Source(design)
    calls = source.run()
    flagged = [data for _, data in source.packets if b"cfg" in data]
    on_main = [call for call in calls if call.endswith("config cfg")]
    expected = (0, 2) if source.parts.design.config == "main channel" else (2, 0)
    assert (len(flagged), len(on_main)) == expected


@pytest.mark.parametrize("design", HANDOFFS)
def test_the_marks_are_the_machine_types_and_the_designs(design: str) -> None:
    """QEMU sends SWITCHOVER_START by the machine's flag alone, whoever listens."""
    calls = Source(design).run()
    assert calls.count(f"command {SWITCHOVER_START}") == 1
    phases = calls.count(f"command {extension.CMD_SEND_NON_ITERABLE}")
    assert phases == HANDOFFS[design].design.send_non_iterable


def test_an_older_machine_type_sends_no_switchover_start() -> None:
    calls = Source("load-ready", machine="9.2").run()
    assert f"command {SWITCHOVER_START}" not in calls
    assert "data A0" in calls
