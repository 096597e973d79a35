"""The JSON Schema of scenario files, for editors that check and complete TOML."""

from __future__ import annotations

from typing import Any

from migemu.scenario.device import Device, Injected
from migemu.scenario.dump import quantity_of
from migemu.scenario.limits import Limits, Timeouts
from migemu.scenario.model import Link, Migration, Platform, Ram, Scenario
from migemu.scenario.names import MAX_DEVICES
from migemu.scenario.order import Attributes, Order, Select, Until
from migemu.scenario.quantity import UNLIMITED
from migemu.scenario.tls import Tls
from migemu.scenario.virtual import Jitter, Virtual

_MODELS = (
    *(Attributes, Order, Select, Until),
    *(Device, Injected, Jitter, Limits, Link, Migration, Platform, Ram, Timeouts, Tls, Virtual),
)


def json_schema() -> dict[str, Any]:
    """Describe what a file may hold: keys, types, units, descriptions, defaults as people write them."""
    schema = Scenario.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "migemu scenario"
    for model in _MODELS:
        _rewrite(schema["$defs"][model.__name__]["properties"], model)
    _rewrite(schema["properties"], Scenario)
    schema["properties"]["device"]["maxItems"] = MAX_DEVICES
    schema["$defs"]["Device"]["properties"]["count"] = {
        "description": "How many devices like this one; {n} in the id counts them.",
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_DEVICES,
        "default": 1,
    }
    return schema


def _rewrite(properties: dict[str, Any], model: Any) -> None:
    """Defaults with units instead of plain numbers, descriptions on one line, no generated titles."""
    for name, entry in properties.items():
        entry.pop("title", None)
        entry["description"] = " ".join(entry.get("description", "").split())
        default = entry.pop("default", None)
        quantity = quantity_of(model.model_fields[name])
        if quantity is not None:
            entry["default"] = UNLIMITED if default is None else quantity.format(default)
        elif default is not None and not isinstance(default, (dict, list)):
            entry["default"] = default
