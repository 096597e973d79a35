"""What the two sides' device models share: the migration state and how it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import CancelledMigrationError, DeviceError, DeviceStateError
from migemu.vfio.pace import Pacer, Sleeper
from migemu.vfio.states import State, path

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from migemu.threads.api import Threads
    from migemu.vfio.model import DeviceModel


class Device:
    """A device in one of the VFIO migration states; it begins in RUNNING.

    Args:
        model: what the device is like.
        threads: clock and event log.
    """

    def __init__(self, model: DeviceModel, threads: Threads) -> None:
        self.model = model
        self.threads = threads
        self.state = State.RUNNING
        self.sleeper = Sleeper(threads)

    def set_state(self, state: State) -> None:
        """Go to `state` along the protocol's path; where a step fails, the device stays before it.

        Raises:
            DeviceStateError: the device has no such state or no way there.
            DeviceError: the device refused a step.
        """
        try:
            steps = path(self.state, state, self.model.features)
        except DeviceStateError as error:
            raise error.at(device=self.model.name) from None
        for step in steps:
            self._leave(self.state, step)
            self.sleeper.sleep(self._time_to(step))
            self._enter(step)

    def reset(self) -> None:
        """VFIO_DEVICE_RESET: back to RUNNING from any state, ERROR too."""
        self.sleeper.rearm()
        self._enter(State.RUNNING)

    def cancel(self) -> None:
        """End whatever the device sleeps for, now and until a reset; called from another thread."""
        self.sleeper.cancel()

    def fail(self, reason: str) -> DeviceError:
        """The device breaks: it is in ERROR from now on. The error to raise."""
        self._enter(State.ERROR)
        return DeviceError(f"{reason}; the device is in ERROR until it is reset", device=self.model.name)

    def require(self, states: AbstractSet[State], operation: str) -> None:
        """Refuse `operation` in all but `states`.

        Raises:
            DeviceStateError: the device is in another state.
        """
        if self.state not in states:
            allowed = " or ".join(sorted(states))
            raise DeviceStateError(
                f"{operation} in {self.state}, allowed in {allowed}", device=self.model.name
            )

    def _time_to(self, state: State) -> float:
        """Seconds it takes to enter `state` now."""
        return self.model.transition_time(state)

    def _make_pacer(self, rate: float | None) -> Pacer:
        """The token clock of a new data fd."""
        return Pacer(rate, self.threads, self.sleeper)

    def _leave(self, state: State, to: State) -> None:
        """Called before the device goes from `state` to `to`; may refuse."""

    def _enter(self, state: State) -> None:
        """The device is in `state`."""
        self.state = state
        self.threads.point("vfio_migration_set_device_state", device=self.model.name, state=str(state))

    def _take_time(self, seconds: float, operation: str) -> None:
        """Be busy for `seconds`.

        Raises:
            CancelledMigrationError: told to stop meanwhile.
        """
        if not self.sleeper.sleep(seconds):
            raise CancelledMigrationError(f"{operation} was cut short", device=self.model.name)
