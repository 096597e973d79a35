"""What `migemu explore` explores, and what a token may belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from migemu.errors import ScheduleError
from migemu.lab import bugs
from migemu.lab.explore import Rules, decode
from migemu.lab.explore.shards import Spec
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_traffic import traffic_of
from migemu.scenario import dump_toml, loads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.lab.bugs.bug import Subject
    from migemu.lab.explore import Token
    from migemu.scenario import Scenario


def destination(scenario: Scenario, *, closing: bool = False, fine: bool = False) -> Setup:
    """The destination of a scenario.

    Args:
        scenario: what is explored.
        closing: whether each channel closes behind its last packet, at whatever moment.
        fine: whether the main channel may stall between any two sections.

    Raises:
        ConfigError: the machine type or the platform does not allow the hand-off.
    """
    plain = Setup(scenario)
    name = " ".join(["closing"] * closing + ["fine"] * fine)
    if not name:
        return plain
    traffic = traffic_of(scenario, plain.handoff.design, fine=fine)
    return Setup(scenario, traffic=traffic.closing() if closing else traffic, name=name)


def make(scenario: str, *, closing: bool, fine: bool) -> Setup:
    """The same from the scenario's text: what a process of its own is given."""
    return destination(loads(scenario, "the scenario", environ={}), closing=closing, fine=fine)


def spec_of(subject: Setup, strategy: str, rules: Rules) -> Spec:
    """The exploration of a destination that was made here, in words another process understands."""
    words = subject.name.split()
    arguments = {
        "scenario": dump_toml(subject.scenario),
        "closing": "closing" in words,
        "fine": "fine" in words,
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
    for closing in (False, True):
        for fine in (False, True):
            one = destination(scenario or stock(), closing=closing, fine=fine)
            yield one.scenario.name, one, None
    for bug in bugs.catalogue():
        yield f"{bug.name}, broken variant", bug.broken, bug
        yield f"{bug.name}, correct variant", bug.correct, bug
