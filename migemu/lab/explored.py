"""What `migemu explore` explores, and what a token may belong to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from migemu.errors import ScheduleError, UsageError
from migemu.lab import bugs
from migemu.lab.explore import Rules, decode
from migemu.lab.explore.shards import Spec
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_faults import CANCEL, CHANNEL_FAILS, FAULTS
from migemu.lab.system_source import SourceSetup
from migemu.lab.system_stream import together
from migemu.lab.system_traffic import traffic_of
from migemu.scenario import dump_toml, loads
from migemu.threads.controlled_rules import EARLY_TIMEOUT, SPURIOUS_WAKEUP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from migemu.lab.bugs.bug import Subject
    from migemu.lab.explore import Token
    from migemu.scenario import Scenario


SOURCE = "source side"
WORDS = ("closing", "coarse", "fine")
"""How a destination is fed otherwise than usual."""
SIDES = {"destination": tuple(FAULTS), "source": (CHANNEL_FAILS, CANCEL, SPURIOUS_WAKEUP, EARLY_TIMEOUT)}
"""What can be explored, and what may go wrong there."""


def destination(
    scenario: Scenario, *, closing: bool = False, coarse: bool = False, fine: bool = False
) -> Setup:
    """The destination of a scenario.

    Args:
        scenario: what is explored.
        closing: whether each channel closes behind its last packet, at whatever moment.
        coarse: whether the main channel brings all that follows SWITCHOVER_START (and FLUSH) in one read.
        fine: whether the main channel may stall between any two sections.

    Raises:
        UsageError: both coarse and fine.
        ConfigError: the machine type or the platform does not allow the hand-off.
    """
    if coarse and fine:
        raise UsageError("--coarse and --fine say opposite things of the main channel")
    plain = Setup(scenario, faultless=True)
    name = " ".join(["closing"] * closing + ["coarse"] * coarse + ["fine"] * fine)
    if not name:
        return plain
    traffic = traffic_of(scenario, plain.handoff.design, fine=fine)
    if coarse:
        traffic = traffic.saying(*traffic.main[:-2], together("sections and EOF", traffic.main[-2:]))
    return replace(plain, traffic=traffic.closing() if closing else traffic, name=name)


def source(scenario: Scenario) -> SourceSetup:
    """The channel hand-over of a scenario's source: save threads, migration thread, sockets.

    Raises:
        ConfigError: the machine type or the platform does not allow the hand-off.
    """
    return SourceSetup(scenario, name=SOURCE, faultless=True)


def make(scenario: str, side: str = "destination", words: Sequence[str] = ()) -> Setup | SourceSetup:
    """One of these from the scenario's text: what a process of its own is given."""
    read = loads(scenario, "the scenario", environ={})
    return source(read) if side == "source" else destination(read, **dict.fromkeys(words, True))


def spec_of(subject: Setup | SourceSetup, strategy: str, rules: Rules) -> Spec:
    """The exploration of a side that was made here, in words another process understands."""
    is_source = isinstance(subject, SourceSetup)
    arguments = {
        "scenario": dump_toml(subject.scenario),
        "side": "source" if is_source else "destination",
        "words": [] if is_source else subject.name.split(),
    }
    return Spec(f"{__name__}:make", arguments, strategy, 3, rules)


class Owner(NamedTuple):
    """What a token belongs to."""

    subject: Subject
    token: Token
    called: str
    bug: bugs.Bug | None = None


def owner_of(token: str, scenario: Scenario | None = None) -> Owner:
    """What a token was made with: `scenario`, the stock scenario, or a bug of the catalogue.

    Raises:
        ScheduleError: it is damaged, of another format, or made with something else.
    """
    decode(token)
    for called, subject, bug in _candidates(scenario):
        try:
            return Owner(subject, decode(token, subject.text()), called, bug)
        except ScheduleError:
            continue
    given = "this scenario" if scenario is not None else "the stock scenario"
    raise ScheduleError(
        f"the token belongs neither to {given} nor to a bug of this version's catalogue; give the file it "
        "was made with: --scenario FILE, with the same --set, and the same version of migemu"
    )


def _candidates(scenario: Scenario | None) -> Iterator[tuple[str, Subject, bugs.Bug | None]]:
    what = scenario or stock()
    for closing in (False, True):
        for reads in ({}, {"coarse": True}, {"fine": True}):
            yield what.name, destination(what, closing=closing, **reads), None
    yield f"{what.name}, source", source(what), None
    for bug in bugs.catalogue():
        yield f"{bug.name}, broken variant", bug.broken, bug
        yield f"{bug.name}, correct variant", bug.correct, bug
