"""One small function per invariant of the house plan: what the events of a run say about it.

Each returns a verdict: True with what was seen, False with what to look at, None when the run gave no
occasion to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from migemu.observe.amounts import count
from migemu.observe.catalogue import CHECKPOINTS
from migemu.observe.devices import CONFIG_END, CONFIG_START, LOAD_END, LOAD_START, SAVED
from migemu.observe.index import SIDES, hold_of
from migemu.observe.join import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from migemu.observe.events import Event
    from migemu.observe.index import Index
    from migemu.observe.model import DeviceResult, Verification

REENTRANT = frozenset({"reentrant"})
"""Designs that say the address space needs no BQL."""

EVENT_DELAY = 0.0005
"""Seconds by which an event of the same thread may lag behind what it tells of."""


@dataclass(frozen=True)
class Run:
    """What a check may look at."""

    index: Index
    scenario: Mapping[str, Any]
    devices: Sequence[DeviceResult]
    verified: Sequence[Verification]
    exits: Mapping[str, int | None]

    def started(self) -> float | None:
        """When the destination's VM was started."""
        return self.index.checkpoint(CHECKPOINTS[-1])

    def told(self, *sides: str) -> bool:
        """Whether these sides' events are here."""
        return self.index.sides().issuperset(sides)

    def names(self) -> list[str]:
        """Every device's section id."""
        return [device.device for device in self.devices]


class Verdict(NamedTuple):
    """A check's answer."""

    ok: bool | None
    detail: str


def _first(problems: Iterator[str], fine: Verdict) -> Verdict:
    """The first problem, or `fine`."""
    problem = next(problems, None)
    return fine if problem is None else Verdict(ok=False, detail=problem)


def data_in_order(run: Run) -> Verdict:
    """Each device's buffers were loaded by idx, each once, all of them."""
    loaded = sum(device.buffers for device in run.devices)
    fine = Verdict(
        True if loaded else None, f"{count(loaded, 'buffer')} of {count(len(run.devices), 'device')}"
    )
    return _first((p for name in run.names() for p in _disorder(run, name)), fine)


def _disorder(run: Run, device: str) -> Iterator[str]:
    kept = [event.get("idx") for event in run.index.of(LOAD_START, device)]
    for place, idx in enumerate(kept):
        if idx is not None and idx != place:
            yield f"device {device}: idx {idx} was loaded where idx {place} was due"
    if any(row["backwards"] for row in run.index.totals(LOAD_START, device)):
        yield f"device {device}: an idx was loaded after a later one"
    sent, got = run.index.count(SAVED, device), run.index.count(LOAD_END, device)
    if run.started() is not None and run.told(*SIDES) and sent and sent != got:
        yield f"device {device}: {sent} buffers were saved, {got} loaded"


def data_intact(run: Run) -> Verdict:
    """What was loaded is byte for byte what was saved; RAM too."""
    if not run.verified:
        return Verdict(None, "no digests were compared")
    fine = Verdict(ok=True, detail=f"{count(len(run.verified), 'digest')} compared")
    return _first(_differences(run), fine)


def _differences(run: Run) -> Iterator[str]:
    for item in run.verified:
        if not item.ok:
            yield " ".join(filter(None, (item.device, item.what, "differs,", item.detail))).rstrip(",")
    compared = {item.device for item in run.verified}
    for name in run.names() if run.started() is not None else ():
        if name not in compared:
            yield f"device {name} was never compared"


def config_last(run: Run) -> Verdict:
    """A device's config is loaded once, after its last data buffer."""
    seen = sum(bool(run.index.of(CONFIG_START, name)) for name in run.names())
    fine = Verdict(True if seen else None, f"{seen} devices")
    return _first((p for name in run.names() for p in _early_config(run.index, name)), fine)


def _early_config(index: Index, device: str) -> Iterator[str]:
    configs, data = index.of(CONFIG_START, device), index.last(LOAD_END, device)
    if len(configs) > 1:
        yield f"device {device}: config was loaded {len(configs)} times"
    if configs and data is not None and configs[0].t < data.t:
        early = (data.t - configs[0].t) * 1000
        yield f"device {device}: config was loaded {early:.1f} ms before data idx {data.get('idx')} was in"


def config_after_iterables(run: Run) -> Verdict:
    """Where the platform needs it, config is loaded only after the interrupt controller is in."""
    if not run.scenario.get("platform", {}).get("needs_interrupt_controller"):
        return Verdict(None, "the platform does not need it")
    loaded = run.index.at("interrupt_controller_loaded")
    starts = [event for name in run.names() for event in run.index.of(CONFIG_START, name)]
    if loaded is None or not starts:
        return Verdict(None, "no interrupt controller was loaded" if starts else "no config was loaded")
    early = (
        f"device {e.get('device')}: config before the interrupt controller" for e in starts if e.t < loaded
    )
    return _first(early, Verdict(ok=True, detail=count(len(starts), "device")))


def bql_for_config(run: Run) -> Verdict:
    """Config is loaded under the BQL, unless the design says that it need not be."""
    if run.scenario.get("handoff") in REENTRANT:
        return Verdict(None, "the design loads config without it")
    spans = [span for name in run.names() if (span := _config_span(run.index, name)) is not None]
    held = [_held(run.index, start, end) for start, end in spans]
    if False in held:
        start, _ = spans[held.index(False)]
        return Verdict(
            ok=False, detail=f"device {start.get('device')}: thread {start.thread} did not hold it"
        )
    return Verdict(True if True in held else None, f"{held.count(True)} of {len(spans)} config loads seen")


def _config_span(index: Index, device: str) -> tuple[Event, Event] | None:
    start, end = index.first(CONFIG_START, device), index.first(CONFIG_END, device)
    return None if start is None or end is None else (start, end)


def _held(index: Index, start: Event, end: Event) -> bool | None:
    """Whether one hold of the config's own thread spans the load; None when holds this short are not told.

    ``bql_held`` comes from the thread that gave the lock back, just after it did, for a millisecond or more.
    """
    if end.t - start.t < 0.001 + EVENT_DELAY:
        return None
    holds = (event for event in index.of("bql_held") if event.thread == end.thread and event.t >= end.t)
    release = next(holds, None)
    return release is not None and hold_of(release)[0] <= start.t + EVENT_DELAY


def start_after_all(run: Run) -> Verdict:
    """The destination VM starts after every device's config is in."""
    started = run.started()
    if started is None:
        return Verdict(None, "the destination's VM was not started")
    return _first(_late_configs(run, started), Verdict(ok=True, detail=count(len(run.devices), "device")))


def _late_configs(run: Run, started: float) -> Iterator[str]:
    sized = {
        f"{d['id']}/vfio" for d in run.scenario.get("device", []) if d.get("config_size") or d.get("config")
    }
    for name in run.names():
        loaded = run.index.at(CONFIG_END, name)
        if loaded is None and (name in sized or run.index.of(CONFIG_START, name)):
            yield f"device {name}: the VM was started without its config"
        elif loaded is not None and loaded > started:
            yield f"device {name}: config was in {(loaded - started) * 1000:.1f} ms after the VM was started"


def one_vm_runs(run: Run) -> Verdict:
    """Never two VMs running; in the end exactly one side can run."""
    told = run.index.of("vm_state")
    if not told:
        return Verdict(None, "no side told")
    overlap = _overlap(told, run.index.events[-1].t)
    if overlap > clock(run.index.events).error:
        return Verdict(ok=False, detail=f"both VMs ran for {overlap * 1000:.1f} ms")
    last = {event.side: bool(event.get("runnable")) for event in told}
    able = [side for side in SIDES if last.get(side)]
    if len(able) > 1 or (not able and len(last) > 1):
        return Verdict(ok=False, detail=f"{'both sides' if able else 'no side'} may run in the end")
    return (
        Verdict(ok=True, detail=f"{able[0]} may run") if able else Verdict(None, "one side's word is missing")
    )


def _overlap(told: Sequence[Event], end: float) -> float:
    """Seconds during which both sides' VMs ran."""
    since: dict[str, float] = {}
    seconds = 0.0
    for event in told:
        if event.get("running"):
            since.setdefault(event.side, event.t)
        elif event.side in since:
            began = since.pop(event.side)
            seconds += max([0.0, *(event.t - max(began, other) for other in since.values())])
    return seconds + (end - max(since.values()) if len(since) == len(SIDES) else 0.0)


def ends(run: Run) -> Verdict:
    """Every migration ends, on both sides."""
    if not run.exits:
        return Verdict(None, "nobody watched the processes")
    hung = (f"{side} had to be ended from outside" for side, code in run.exits.items() if code is None)
    codes = ", ".join(f"{side} {code}" for side, code in run.exits.items())
    return _first(hung, Verdict(ok=True, detail=f"exit codes: {codes}"))


def queue_bounded(run: Run) -> Verdict:
    """Queued bytes of a device stay under its cap."""
    cap = run.scenario.get("limits", {}).get("queue_per_device")
    peak = max(run.devices, key=lambda device: device.queued_peak, default=None)
    if cap is None or peak is None:
        return Verdict(None, "no cap is set" if cap is None else "no device")
    where = f"peak {peak.queued_peak} of {cap} bytes, device {peak.device}"
    return Verdict(peak.queued_peak <= int(cap), where)


def lock_order(_: Run) -> Verdict:
    """Load mutex before BQL: only who takes the locks can see that, and says so in ``invariant`` events."""
    return Verdict(None, "no lock was watched")


CHECKS: dict[str, Callable[[Run], Verdict]] = {
    "data-in-order": data_in_order,
    "data-intact": data_intact,
    "config-last": config_last,
    "config-after-iterables": config_after_iterables,
    "bql-for-config": bql_for_config,
    "lock-order": lock_order,
    "start-after-all": start_after_all,
    "one-vm-runs": one_vm_runs,
    "ends": ends,
    "queue-bounded": queue_bounded,
}
"""The house plan's table."""
