"""Which design a scenario gets: what it asks for, what its machine type has, what its platform survives.

Two rules stand between asking and getting.

- A machine type is a promise to older versions. One that is older than the flag a design needs either gets
  what QEMU does there (`load-ready` becomes `load-thread`, which becomes `main-channel`) or, where no QEMU
  ever had the design, a refusal.
- On a platform whose interrupt controller must be in first (ARM64) a design that may load config earlier
  fails sooner or later, by luck of timing: bug B2. That is refused, unless somebody wants to see it
  (``platform.allow_early_config``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import ConfigError
from migemu.handoff import HANDOFFS, handoff
from migemu.handoff.machine_types import machine_type

if TYPE_CHECKING:
    from migemu.handoff.base import Handoff
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads


def choose(scenario: Scenario) -> type[Handoff]:
    """The design that runs.

    Raises:
        ConfigError: none can: the machine type or the platform does not allow it.
    """
    chosen = for_machine(scenario.handoff, scenario.machine)
    check_platform(scenario, chosen)
    return chosen


def for_machine(name: str, machine: str) -> type[Handoff]:
    """The design `name`, or what takes its place on the machine type `machine`.

    Raises:
        ConfigError: the machine type is too old for it and nothing takes its place.
    """
    version = machine_type(machine).version
    asked = found = handoff(name)
    while version < machine_type(found.design.since).version:
        if found.design.older is None:
            raise ConfigError(
                f"hand-off {name} needs machine type {asked.design.since} or newer, this is {machine}: "
                f"its flag x-migration-multifd-transfer is off; possible: {', '.join(possible(machine))}"
            )
        found = handoff(found.design.older)
    return found


def possible(machine: str) -> list[str]:
    """The designs that a machine type has, itself or as what takes their place."""
    version = machine_type(machine).version

    def has(design: type[Handoff]) -> bool:
        return version >= machine_type(design.design.since).version or design.design.older is not None

    return [name for name, design in HANDOFFS.items() if has(design)]


def safe(machine: str) -> list[str]:
    """The designs that, on a machine type, load no config before the interrupt controller is in."""
    names = possible(machine)
    return [name for name in names if for_machine(name, machine).design.config_after_iterables]


def check_platform(scenario: Scenario, chosen: type[Handoff]) -> None:
    """Refuse bug B2.

    Raises:
        ConfigError: `chosen` may load config too early for the platform.
    """
    platform, design = scenario.platform, chosen.design
    if design.config_after_iterables or not platform.needs_interrupt_controller:
        return
    if platform.allow_early_config:
        return
    name, machine = scenario.handoff, scenario.machine
    what = name if design.name == name else f"{name} (on machine type {machine}: {design.name})"
    raise ConfigError(
        f"hand-off {what} may load config before the interrupt controller is in (bug B2), and "
        "platform.needs_interrupt_controller is true; set it to false for an x86 machine, or use one of "
        f"{', '.join(safe(machine))}; platform.allow_early_config = true runs it all the same"
    )


def unusable(scenario: Scenario) -> dict[str, str]:
    """The designs that `scenario` cannot run, if it asked for them, each with the reason."""
    reasons = {}
    for name in HANDOFFS:
        try:
            choose(scenario.model_copy(update={"handoff": name}))
        except ConfigError as error:
            reasons[name] = error.message
    return reasons


def say(threads: Threads, scenario: Scenario, chosen: type[Handoff]) -> None:
    """Tell the log where another design runs than the one asked for."""
    if chosen.design.name != scenario.handoff:
        threads.point(
            "handoff_replaced",
            asked=scenario.handoff,
            handoff=chosen.design.name,
            machine=scenario.machine,
        )
