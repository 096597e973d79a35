"""Field types of the models: quantities with units, names out of a list, paths.

A model holds plain numbers. What a person wrote goes through :mod:`migemu.scenario.units` first; code that
builds a model hands in numbers. The two are told apart by the validation context `PEOPLE`, because a bare
``write_rate = 500`` is ambiguous in a file and not in a program.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError, core_schema

from migemu.errors import ConfigError
from migemu.scenario import names, units

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

PEOPLE = {"people": True}
"""Validation context of everything read from a file, the environment or the command line."""

UNLIMITED = "unlimited"
"""What people write for no limit, where a limit may be left out."""

LONGEST = 30 * 24 * 3600.0
"""Longest time a scenario may name, in seconds: what every timer of the platform can hold."""


def refuse(text: str) -> PydanticCustomError:
    """Make the error a field's validator raises; `text` reaches the person as it is."""
    return PydanticCustomError("scenario", "{text}", {"text": text})


@dataclass(frozen=True)
class Quantity:
    """Annotation of a number with a unit: how people write it and what it may be.

    ``None`` is left to the field's type: a field typed ``... | None`` also takes ``"unlimited"``.
    """

    scale: units.Scale
    parse: Callable[[Any], float]
    format: Callable[[Any], str]
    least: float = 0
    most: float = float("inf")
    optional: bool = False

    def within(self, least: float, most: float | None = None) -> Quantity:
        """The same quantity with tighter bounds, both included."""
        return replace(self, least=least, most=self.most if most is None else most)

    def read(self, value: object, *, people: bool) -> object:
        """Turn what was given into the number, or leave it for the type check to refuse."""
        if self.optional and (value is None or value == UNLIMITED):
            return None
        if people or isinstance(value, str):
            try:
                value = self.parse(value)
            except ConfigError as error:
                raise refuse(error.message) from None
        return self._bounded(value)

    def _bounded(self, value: object) -> object:
        if isinstance(value, float) and not math.isfinite(value):
            raise refuse(f"{value} is not a {self.scale.noun}")
        if isinstance(value, (int, float)) and not self.least <= value <= self.most:
            word, bound = ("at least", self.least) if value < self.least else ("at most", self.most)
            raise refuse(f"{self.format(value)} is out of bounds; it must be {word} {self.format(bound)}")
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        def read(value: object, info: core_schema.ValidationInfo) -> object:
            return self.read(value, people=bool((info.context or {}).get("people")))

        return core_schema.with_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(
        self, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        known = "|".join(sorted(self.scale.units, key=lambda unit: (-len(unit), unit)))
        unit = f"({known}){'?' if self.scale.bare else ''}"
        words = f"0|{UNLIMITED}" if self.optional else "0"
        pattern = rf"^(\s*[0-9][0-9_]*(\.[0-9]+)?\s*{unit}\s*|{words})$"
        number = {"type": "integer", "minimum": 0} if self.scale.bare else {"const": 0}
        examples = [self.scale.example, UNLIMITED] if self.optional else [self.scale.example]
        return {"anyOf": [{"type": "string", "pattern": pattern}, number], "examples": examples}


_SIZE = Quantity(units.SIZE, units.parse_size, units.format_size, most=units.MAX_SIZE)
_RATE = Quantity(units.RATE, units.parse_rate, units.format_rate, most=1e15)
_TIME = Quantity(units.TIME, units.parse_time, units.format_time, most=LONGEST)

Size = Annotated[int, _SIZE]
"""Bytes."""
PacketSize = Annotated[int, _SIZE.within(64, 2 * names.GIB - 1)]
"""Bytes of data in one device-state packet; QEMU's size field is signed 32 bits in places."""
PayloadSize = Annotated[int, _SIZE.within(names.RAM_PAYLOAD)]
"""Bytes; never below what one RAM packet carries."""
OptionalSize = Annotated[int | None, replace(_SIZE, optional=True)]
"""Bytes, or no limit."""
Rate = Annotated[float, _RATE]
"""Bytes per second."""
OptionalRate = Annotated[float | None, replace(_RATE.within(1), optional=True)]
"""Bytes per second, or no limit."""
Time = Annotated[float, _TIME]
"""Seconds."""
OptionalTime = Annotated[float | None, replace(_TIME, optional=True)]
"""Seconds, or no limit."""
PositiveTime = Annotated[float, _TIME.within(0.001)]
"""Seconds; at least a millisecond, because a limit of nothing is met before anything can happen."""


@dataclass(frozen=True)
class OneOf:
    """Annotation of a name out of a list; an unknown one is refused with the nearest."""

    noun: str
    known: tuple[str, ...]
    guess: bool = True
    """Whether a near miss is a slip of the finger; between version numbers it is not."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def read(self, value: object) -> str:
        """Accept a known name; ``10.1`` without quotes is a TOML number and means the same."""
        text = str(value) if isinstance(value, (str, float)) else ""
        if text not in self.known:
            shown = value if isinstance(value, (str, float, int)) else type(value).__name__
            raise refuse(f"unknown {self.noun} {shown!r}; {self._suggest(text)}")
        return text

    def _suggest(self, text: str) -> str:
        return nearest(text, self.known) if self.guess else "known: " + ", ".join(self.known)

    def __get_pydantic_json_schema__(
        self, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "enum": list(self.known)}


def nearest(word: str, known: Sequence[str]) -> str:
    """Name what was probably meant, or everything there is."""
    found = close(word, known)
    return "known: " + ", ".join(known) if found is None else f'did you mean "{found}"?'


def close(word: str, known: Sequence[str]) -> str | None:
    """The one that `word` misses by a slip of the finger, if there is one."""
    by_lower = {name.lower(): name for name in reversed(known)}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


Machine = Annotated[str, OneOf("machine version", names.MACHINES, guess=False)]
Handoff = Annotated[str, OneOf("hand-off", names.HANDOFFS)]


def _read_path(value: object) -> Path | None:
    if value is None or value == "":
        return None
    if not isinstance(value, (str, Path)):
        raise refuse(f"a path must be text, not {value!r}")
    text = str(value)
    if "\0" in text or not text.isprintable() or text != text.encode("utf-8", "ignore").decode():
        raise refuse(f"the path {text!r} has characters that cannot be written in a scenario file")
    return Path(text)


def _read_uuid(value: object) -> UUID | None:
    if value is None or isinstance(value, UUID):
        return value
    try:
        return UUID(value)  # type: ignore[arg-type] # anything else raises and is refused below
    except (AttributeError, TypeError, ValueError):
        raise refuse(f"{value!r} is not a UUID like 5f1c2d3e-0000-4000-8000-000000000001") from None


OptionalPath = Annotated[
    Path | None, BeforeValidator(_read_path), WithJsonSchema({"type": "string", "examples": ["state.bin"]})
]
"""A file; an empty text is none."""
OptionalUuid = Annotated[
    UUID | None, BeforeValidator(_read_uuid), WithJsonSchema({"type": "string", "format": "uuid"})
]
