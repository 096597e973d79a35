"""Every limit a peer can meet: it has a name, and the error that meets it says so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from migemu.errors import PeerTimeoutError
from migemu.link.stages import Stages
from migemu.scenario import Limits, Timeouts
from migemu.threads.native import NativeThreads
from migemu.threads.sync import Abort, Queue
from migemu.wire import mainwriter
from migemu.wire import vfio as words
from migemu.wire.records import RamBlock
from security.incoming import Incoming
from security.scripted import DATA, DEVICE, DEVICE_SECTION, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable

ELSEWHERE = {
    "on_cap": "a choice, not a limit",
    "queue_main": "test_the_main_channel_is_read_no_further_than_its_queue",
    "max_connections": "test_strangers",
    "max_unfinished": "test_strangers",
    "refusals": "test_strangers",
    "hello_timeout": "test_strangers",
    "events": "tests/observe/test_events.py",
    "max_ram": "tests/qemu/test_receive.py",
    "order_room": "tests/link/test_order_wait.py",
    "connect": "test_strangers",
    "arrival": "test_strangers",
    "setup": "test_a_stage_that_lasts_too_long_is_ended_whatever_moves_in_it",
}
"""Fields whose test is not a case below."""


def big_packet(s: Scripted) -> None:
    s.setup()
    s.on(0, s.data(0, bytes(600 * 1024)))


def configuration(s: Scripted) -> None:
    s.say(mainwriter.configuration("pc-q35-11.1", capabilities=("x-ignore-shared", "mapped-ram")))
    s.say(mainwriter.command(1))


def announcement(s: Scripted) -> None:
    s.begin()


def pings(s: Scripted) -> None:
    s.say(mainwriter.configuration("pc-q35-11.1"), mainwriter.command(1), mainwriter.ping(1) * 20)


def blocks(s: Scripted) -> None:
    s.say(mainwriter.configuration("pc-q35-11.1"), mainwriter.command(1))
    s.say(mainwriter.section_start(2, "ram", 0, 4))
    s.say(mainwriter.ram_blocks([RamBlock("one", 4096), RamBlock("two", 4096)]))


def pci_config(s: Scripted) -> None:
    s.setup()
    s.say(mainwriter.section_full(DEVICE_SECTION, DEVICE, 0, 1))
    s.say(mainwriter.vfio_word(words.DEV_CONFIG_STATE), (2).to_bytes(4), bytes(8000))


def tail(s: Scripted) -> None:
    s.setup()
    s.say(mainwriter.section_full(99, "dma", 0, 1), b"\xff" * 9000)


def description(s: Scripted) -> None:
    s.setup()
    s.say(mainwriter.command(11), mainwriter.eof(), mainwriter.vmdesc({"page_size": 4096, "x": "y" * 900}))


def far_idx(s: Scripted) -> None:
    s.setup()
    s.on(0, s.data(5, DATA[0]))


def queue(s: Scripted) -> None:
    s.setup()
    s.on(0, s.data(1), s.data(2))


def silence(s: Scripted) -> None:
    s.setup()


def missing_sync(s: Scripted) -> None:
    s.setup()
    s.sync((0, 1))
    s.barrier()


def missing_buffer(s: Scripted) -> None:
    s.setup()
    s.round()
    s.switchover()
    s.on(0, s.data(0))


def trickle(s: Scripted) -> None:
    """Something always moves, and it never ends."""
    s.setup()
    s.switchover()
    for _ in range(60):
        s.on(0, s.pages((1,)))
        time.sleep(0.05)


CASES: list[tuple[str, tuple[str, ...], Callable[[Scripted], None]]] = [
    ("max_payload", ("limits.max_payload=512 KiB",), big_packet),
    ("max_section_string", ("limits.max_section_string=5",), configuration),
    ("max_capabilities", ("limits.max_capabilities=1",), configuration),
    ("max_command", ("limits.max_command=32",), announcement),
    ("max_commands", ("limits.max_commands=10",), pings),
    ("max_sections", ("limits.max_sections=1",), silence),
    ("max_ram_blocks", ("limits.max_ram_blocks=1",), blocks),
    ("max_pci_config", ("limits.max_pci_config=2000",), pci_config),
    ("max_non_iterable", ("limits.max_non_iterable=4 KiB",), tail),
    ("max_vmdesc", ("limits.max_vmdesc=256",), description),
    ("slots_per_device", ("limits.slots_per_device=2", "limits.on_cap=fail"), far_idx),
    ("queue_per_device", ("limits.queue_per_device=100 KiB", "limits.on_cap=fail"), queue),
    ("queue_total", ("limits.queue_total=100 KiB", "limits.on_cap=fail"), queue),
    ("timeouts.phase", ("timeouts.phase=200 ms",), silence),
    ("timeouts.phase", ("timeouts.phase=200 ms",), missing_sync),
    ("timeouts.phase", ("timeouts.phase=200 ms",), missing_buffer),
    ("switchover", ("timeouts.switchover=400 ms",), trickle),
    ("total", ("timeouts.total=400 ms",), trickle),
]


@pytest.mark.parametrize(("limit", "overrides", "script"), CASES)
def test_the_error_names_the_limit_that_was_met(
    limit: str, overrides: tuple[str, ...], script: Callable[[Scripted], None]
) -> None:
    with Incoming(*overrides) as destination, Scripted(destination.address) as source:
        source.connect()
        try:
            script(source)
            source.told()
        except ConnectionError:
            pass  # it was refused while the script still spoke
        source.close()
        verdict = destination.verdict(source)
        assert limit in verdict, verdict


def test_no_limit_is_without_a_test() -> None:
    tested = {name.removeprefix("timeouts.") for name, _, _ in CASES} | set(ELSEWHERE)
    assert tested == set(Limits.model_fields) | set(Timeouts.model_fields)


def test_the_main_channel_is_read_no_further_than_its_queue() -> None:
    threads = NativeThreads()
    resumed: list[bool] = []
    main: Queue[bytes] = Queue(threads, Abort(threads), "main", limit=100, weigh=len, limit_bytes=1000)
    main.on_room = lambda: resumed.append(True)
    assert [main.put(bytes(400)) for _ in range(3)] == [False, False, True]
    main.poll()
    assert (main.bytes, resumed) == (800, [])
    main.poll()
    assert (main.bytes, resumed) == (400, [True])


class Clock(NativeThreads):
    """A clock that a story sets."""

    time = 0.0

    def now(self) -> float:
        return self.time


def test_a_stage_that_lasts_too_long_is_ended_whatever_moves_in_it() -> None:
    clock = Clock()
    stages = Stages(
        clock, Timeouts(setup=2.0, switchover=5.0), {"setup": "setup", "a": "switchover", "b": "switchover"}
    )
    stages.check("setup")
    clock.time = 2.0
    stages.check("setup")
    stages.check("active")
    clock.time = 3.0
    stages.check("a")
    clock.time = 7.0
    stages.check("b")  # shares its limit with the stage before: 4 s so far
    clock.time = 8.5
    with pytest.raises(PeerTimeoutError, match=r"timeouts.switchover = 5 s"):
        stages.check("b")
