"""Time dilation: the same migration, slowed down until the machine at hand can carry it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from migemu.scenario import units
from migemu.scenario.dump import quantity_of

if TYPE_CHECKING:
    from migemu.scenario.model import Scenario

_Model = TypeVar("_Model", bound=BaseModel)


def dilated(scenario: Scenario) -> Scenario:
    """Divide every rate and multiply every time by `dilation`, limits and timeouts included.

    Sizes and counts stay, so bytes, packets and their order do as well. The result's dilation is 1: doing
    it twice does no harm; whoever scales results back keeps the original.
    """
    factor = scenario.dilation
    return scenario if factor == 1 else _slowed(scenario, factor).model_copy(update={"dilation": 1.0})


def _slowed(model: _Model, factor: float) -> _Model:
    fields = type(model).model_fields
    changed = {name: _scaled(getattr(model, name), fields[name], factor) for name in fields}
    return model.model_copy(update=changed)


def _scaled(value: Any, field: Any, factor: float) -> Any:
    if isinstance(value, BaseModel):
        return _slowed(value, factor)
    if isinstance(value, tuple):
        return tuple(_slowed(item, factor) for item in value)
    if isinstance(value, dict):
        return {state: time * factor for state, time in value.items()}
    quantity = quantity_of(field)
    if quantity is None or value is None or quantity.scale is units.SIZE:
        return value
    return value / factor if quantity.scale is units.RATE else value * factor
