"""The study keys ``skew`` and ``rate_skew``: devices that are not alike, by a rule and not by chance.

``skew=4`` makes the first device's state 4 times as large as the last one's, the others between them by
equal ratios, and the sum stays what it was: the same bytes travel, but some devices are ready early and
some late. That is when it matters who may load config early. ``rate_skew=4`` leaves the sizes and has the
first device take 4 times as long for its data as the last one, by its ``write_rate``; the sum of the times
stays.

The first device gets most because that is the case of the debate: a wait for A idles B. A ratio below 1
turns it round, ``1`` changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migemu.scenario import Device, Scenario

LARGEST = 1000.0


def skewed(scenario: Scenario, key: str, text: str) -> Scenario:
    """The scenario with its devices' sizes or rates spread.

    Args:
        scenario: what to start from; it stays as it is.
        key: one of `SKEWS`.
        text: the first device's share over the last one's.

    Raises:
        ConfigError: the ratio is no such number, or a device has nothing to spread.
    """
    try:
        devices = SKEWS[key](scenario.device, _ratio(text))
    except ConfigError as error:
        raise ConfigError(f"{key}={text}: {error.message}") from None
    return scenario.model_copy(update={"device": devices})


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = 0.0
    if not 1 / LARGEST <= ratio <= LARGEST:
        raise ConfigError("write the first device's share over the last one's, a number from 0.001 to 1000")
    return ratio


def _sizes(devices: Sequence[Device], ratio: float) -> tuple[Device, ...]:
    if any(device.state is not None for device in devices):
        raise ConfigError("a device whose state is a file has the size of the file")
    whole = sum(device.state_size for device in devices)
    sizes = [round(size) for size in spread([device.state_size for device in devices], ratio)]
    if sizes:
        sizes[sizes.index(max(sizes))] += whole - sum(sizes)  # what rounding took or gave
    return tuple(
        device.model_copy(update={"state_size": size}) for device, size in zip(devices, sizes, strict=True)
    )


def _rates(devices: Sequence[Device], ratio: float) -> tuple[Device, ...]:
    times = [1 / device.write_rate for device in devices if device.write_rate]
    if len(times) < len(devices):
        raise ConfigError("a device without a write_rate takes no time that could be spread")
    return tuple(
        device.model_copy(update={"write_rate": 1 / time})
        for device, time in zip(devices, spread(times, ratio), strict=True)
    )


def spread(values: Sequence[float], ratio: float) -> list[float]:
    """The values times a geometric series that falls from `ratio` to 1, their sum as it was."""
    last = max(1, len(values) - 1)
    weights = [value * ratio ** (1 - place / last) for place, value in enumerate(values)]
    whole = sum(weights) or 1.0
    return [sum(values) * weight / whole for weight in weights]


SKEWS: dict[str, Callable[[Sequence[Device], float], tuple[Device, ...]]] = {
    "skew": _sizes,
    "rate_skew": _rates,
}
"""The study keys and what they do."""
