"""How many schedules a second and core the exploration runs, and how long exhausting a small one takes.

    python benchmarks/explore.py [--seconds S] [--json]

Two systems. The *reduced* one is the destination of one migration cut down to what threads do there:
channels that deliver packets, a load_bufs_mutex and two conditions per device, load threads, an incoming
thread with the BQL that passes the main channel's marks, waits for the load pool and cleans up; with the
invariants of the house on. Its threads do next to nothing between two operations, so what is measured is
the machinery: engine, decisions, invariants and search. The *production* one is what `migemu explore` runs:
migemu's own destination, or its source's channel hand-over. CPU time of this process is what counts, not
the wall clock.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from migemu.lab.explore import Budget, Dfs, Pct, RandomWalk, Rules, Runner, explore
from migemu.lab.explore.plan import Plan
from migemu.lab.explore.replaying import Follower
from migemu.lab.explored import destination, source
from migemu.lab.known_states import over_states
from migemu.lab.stock import stock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migemu.lab.explore import MakeSystem, Strategy
    from migemu.lab.system import Setup
    from migemu.scenario import Scenario
    from migemu.threads.controlled import ControlledThreads
    from migemu.threads.controlled_sync import ControlledLock


DESIGNS = ("load-thread", "load-ready", "load-finish", "non-iterable")
EXHAUSTED = ((1, 3), (2, 1), (2, 3))
"""Devices and buffers of each: the searches that are meant to come to their end."""


class Device:
    """One device's reassembly and load thread."""

    def __init__(
        self, threads: ControlledThreads, name: str, buffers: int, bql: ControlledLock, *, told: bool
    ) -> None:
        self.threads = threads
        self.name = name
        self.buffers = buffers
        self.bql = bql
        self.mutex = threads.lock(f"load_bufs_mutex {name}")
        self.told = told
        if told:
            threads.transparent(self.mutex)  # every use of what it guards is told below
        self.buffer_ready = threads.condition(self.mutex, f"load_bufs_buffer_ready {name}")
        self.config_may = threads.condition(self.mutex, f"config may be loaded {name}")
        self.slots: set[int] = set()
        self.next_idx = 0
        self.order: list[int] = []
        self.config_ready = self.config_loaded = self.want_exit = False

    def use(self, part: object, *, write: bool = True) -> None:
        """The running step uses a part of what the mutex guards."""
        if self.told:
            self.threads.uses(f"{self.name} {part}", write=write)

    def insert(self, idx: int) -> None:
        """A receiver brings a packet."""
        with self.mutex:
            self.use(idx)
            self.slots.add(idx)
            if idx == self.next_idx:
                self.buffer_ready.notify()

    def load(self) -> None:
        """The load thread: buffers in order, then the config under the BQL."""
        while self.next_idx < self.buffers:
            with self.mutex:
                while not self._here() and not self.want_exit:
                    self.buffer_ready.wait()
                if self.want_exit:
                    return
                self.use(self.next_idx)
                self.use("data")
                self.slots.discard(self.next_idx)
                self.order.append(self.next_idx)
                self.next_idx += 1
        with self.mutex:
            while not self._may_load_config() and not self.want_exit:
                self.config_may.wait()
        with self.bql:
            self.config_loaded = not self.want_exit

    def _here(self) -> bool:
        """Whether the next packet has come."""
        self.use(self.next_idx, write=False)
        self.use("exit", write=False)
        return self.next_idx in self.slots

    def _may_load_config(self) -> bool:
        self.use("mark", write=False)
        self.use("exit", write=False)
        return self.config_ready

    def mark(self) -> None:
        """CONFIG_LOAD_READY: the incoming thread allows the config."""
        with self.mutex:
            self.use("mark")
            self.config_ready = True
            self.config_may.notify()

    def clean_up(self) -> None:
        """Wake whoever still waits, wherever it does."""
        with self.mutex:
            self.use("exit")
            self.want_exit = True
            self.buffer_ready.notify_all()
            self.config_may.notify_all()


class Destination:
    """The system: `channels` receivers, `devices` load threads, one incoming thread.

    Args:
        channels: multifd channels; packets are dealt to them in turn.
        devices: how many.
        buffers: data packets of each device.
        told: whether the search is told what each section uses, so that it finds which of them commute.
    """

    def __init__(self, channels: int, devices: int, buffers: int, *, told: bool = False) -> None:
        self.shape = (channels, devices, buffers)
        self.told = told

    @classmethod
    def of(
        cls, channels: int, devices: int, buffers: int, *, told: bool = False
    ) -> Callable[[], Destination]:
        """What makes one."""
        return lambda: cls(channels, devices, buffers, told=told)

    def build(self, threads: ControlledThreads) -> None:
        """Spawn receivers and the incoming thread, and state the invariants."""
        channels, devices, buffers = self.shape
        self.threads = threads
        self.bql = threads.lock("BQL")
        self.pool_lock = threads.lock("load pool lock")
        self.pool_ended = threads.condition(self.pool_lock, "load pool ended")
        self.running = 0
        self.gic_in = self.started = False
        self.devices = [
            Device(threads, f"0000:00:0{n}.0", buffers, self.bql, told=self.told) for n in range(devices)
        ]
        self._state_invariants()
        dealt: list[list[tuple[Device, int]]] = [[] for _ in range(channels)]
        for number in range(devices * buffers):
            device, idx = self.devices[number % devices], number // devices
            dealt[(number + number // devices // channels) % channels].append((device, idx))
        self.receivers = [
            threads.spawn(f"recv {channel}", self._receiver(packets)) for channel, packets in enumerate(dealt)
        ]
        threads.spawn("incoming", self._incoming)

    def _state_invariants(self) -> None:
        for device in self.devices:
            self.threads.invariant(
                "data-in-order",
                self._in_order(device),
                over=[f"{device.name} data" if self.told else device.mutex],
            )
            self.threads.invariant("config-last", self._config_last(device), over=[self.bql])
        self.threads.invariant("start-after-all", self._started_last, over=[self.bql])

    @staticmethod
    def _in_order(device: Device) -> Callable[[], str | None]:
        def question() -> str | None:
            order = device.order
            return f"loaded {order}" if order and order[-1] != len(order) - 1 else None

        return question

    def _config_last(self, device: Device) -> Callable[[], str | None]:
        def question() -> str | None:
            if not device.config_loaded:
                return None
            if device.next_idx < device.buffers:
                return f"{device.name}: config before data buffer {device.next_idx}"
            return None if self.gic_in else f"{device.name}: config before the interrupt controller"

        return question

    def _started_last(self) -> str | None:
        if self.started and not all(device.config_loaded for device in self.devices):
            return "the VM started before every config was in"
        return None

    @staticmethod
    def _receiver(packets: list[tuple[Device, int]]) -> Callable[[], None]:
        def run() -> None:
            for device, idx in packets:
                device.insert(idx)

        return run

    def _incoming(self) -> None:
        """What QEMU's main thread does from SWITCHOVER_START on."""
        with self.bql:
            self.running = len(self.devices)
        for device in self.devices:
            self.threads.spawn(f"load {device.name}", lambda device=device: self._load(device))  # type: ignore[misc]  # a default binds the loop variable
        with self.bql:
            self.gic_in = True
        for device in self.devices:
            device.mark()
        with self.pool_lock:
            while self.running:
                self.pool_ended.wait()
        with self.bql:
            self.started = True
        for receiver in self.receivers:
            receiver.join()
        for device in self.devices:
            device.clean_up()

    def _load(self, device: Device) -> None:
        device.load()
        with self.pool_lock:
            self.running -= 1
            self.pool_ended.notify()


def decisions_of(make: MakeSystem) -> int:
    """How many decisions the native order has."""
    follower = Follower(())
    Runner(make, Rules()).run(Plan(chooser=follower))
    return len(follower.taken)


def measure(name: str, make: MakeSystem, strategy: Strategy, budget: Budget) -> dict[str, Any]:
    """One exploration; schedules a second of CPU time."""
    before = time.process_time()
    outcome = explore(make, strategy, budget)
    cpu = time.process_time() - before
    tried = outcome.schedules + outcome.pruned
    return {
        "name": name,
        "verdict": outcome.verdict,
        "schedules": outcome.schedules,
        "pruned": outcome.pruned,
        "steps": outcome.steps / max(1, tried),
        "decisions": decisions_of(make),
        "cpu_seconds": cpu,
        "per_second": tried / cpu,
    }


def production(design: str, devices: int, buffers: int, channels: int, *, coarse: bool = True) -> Setup:
    """The destination that `migemu explore` runs."""
    overrides = [f"handoff={design}", f"devices={devices}", f"migration.channels={channels}"]
    overrides.append(f"device.*.state_size={64 * buffers}")
    if design == "load-thread":
        overrides.append("platform.needs_interrupt_controller=false")
    return destination(stock(*overrides), coarse=coarse)


def runs(seconds: float, exhaust: float) -> Iterator[tuple[str, MakeSystem, Strategy, Budget]]:
    """All measurements: name, system, strategy, budget."""
    budget, whole = Budget(seconds=seconds), Budget(seconds=exhaust)
    wide, shape = Destination.of(4, 2, 6), "4 channels 2 devices 6 buffers"
    yield f"reduced, random, {shape}", wide, RandomWalk(), budget
    yield f"reduced, pct(3), {shape}", wide, Pct(3, 50), budget
    yield f"reduced, dfs, {shape}", wide, Dfs(), budget
    yield f"reduced, dfs without reduction, {shape}", wide, Dfs(reduce=False), budget
    yield "reduced, dfs, 2 channels 2 devices 3 buffers", Destination.of(2, 2, 3, told=True), Dfs(), whole
    real = production("load-ready", 2, 6, 4, coarse=False)
    yield f"production, random, {shape}", real, RandomWalk(), budget
    yield f"production, dfs, {shape}", real, Dfs(), budget
    for devices, buffers in EXHAUSTED:
        for design in DESIGNS:
            told = f"{devices} device(s) {buffers} buffer(s)"
            made = production(design, devices, buffers, 2)
            yield f"production, states, coarse, 2 channels {told}, {design}", made, over_states(), whole
            if (devices, buffers) != EXHAUSTED[-1]:
                yield f"production, schedules, coarse, 2 channels {told}, {design}", made, Dfs(), whole
    for design in DESIGNS:
        made = production(design, *EXHAUSTED[-1], 2, coarse=False)
        yield f"production, states, 2 channels, stock scenario, {design}", made, over_states(), whole
    told = "source of 1 device 1 buffer, 1 channel"
    yield f"production, states, {told}", source(small_source()), over_states(), whole
    yield f"production, schedules, {told}", source(small_source()), Dfs(), whole


def small_source() -> Scenario:
    """The smallest source."""
    return stock("devices=1", "migration.channels=1", "device.0.state_size=64")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each sampled measurement")
    parser.add_argument("--exhaust", type=float, default=60.0, help="at most, of each exhaustive one")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    for name, make, strategy, budget in runs(options.seconds, options.exhaust):
        result = measure(name, make, strategy, budget)
        print(json.dumps(result) if options.json else render(result), flush=True)
    return 0


def render(result: dict[str, Any]) -> str:
    return (
        f"{result['name']}: {result['per_second']:,.0f} schedules/s of CPU, {result['decisions']} decisions "
        f"in the native order, {result['steps']:.1f} steps; {result['verdict']} ({result['pruned']} pruned)"
    )


if __name__ == "__main__":
    sys.exit(main())
