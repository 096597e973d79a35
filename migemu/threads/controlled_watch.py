"""Watching attributes that are shared without a lock, or whose lock might be missing.

A controlled run switches threads at locks, waits and the like; what a thread does in between is one piece.
Where a guard is missing, that hides the bug: there is no lock left to switch at. Watching an object's
attributes makes each use of them a :meth:`~migemu.threads.controlled.ControlledThreads.touch`, without a
change to its code.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migemu.threads.controlled import ControlledThreads

IMMUTABLE = (int, float, complex, str, bytes, frozenset, Enum, type(None), type)
"""Values that cannot be changed through the attribute: getting one only looks at it."""

_subclasses: dict[tuple[type, tuple[str, ...]], type] = {}
"""Made once per process: a class is dear to make, and an exploration makes its objects anew each run."""


class Site:
    """Who watches the objects of one class in the present run."""

    __slots__ = ("labels", "threads")

    def __init__(self) -> None:
        self.threads: ControlledThreads
        self.labels: dict[int, str] = {}

    def touch(self, thing: object, attribute: str, *, write: bool) -> None:
        """`thing` is about to be used."""
        self.threads.touch(f"{self.labels.get(id(thing), '?')}.{attribute}", write=write)


class WatchedAttribute:
    """Stands in for an attribute of a watched class."""

    __slots__ = ("_inner", "_name", "_site")

    def __init__(self, name: str, inner: Any, site: Site) -> None:
        self._name = name
        self._inner = inner if hasattr(inner, "__set__") else None
        self._site = site

    def __get__(self, thing: Any, owner: type) -> Any:
        if thing is None:
            return self
        mutable = not isinstance(self._read(thing), IMMUTABLE)
        self._site.touch(thing, self._name, write=mutable)
        return self._read(thing)

    def __set__(self, thing: Any, value: Any) -> None:
        self._site.touch(thing, self._name, write=True)
        if self._inner is not None:
            self._inner.__set__(thing, value)
        else:
            thing.__dict__[self._name] = value

    def _read(self, thing: Any) -> Any:
        """The value as it is; a slot, or what the instance's dictionary holds."""
        if self._inner is not None:
            return self._inner.__get__(thing, type(thing))
        try:
            return thing.__dict__[self._name]
        except KeyError:
            raise AttributeError(self._name) from None


def watch(threads: ControlledThreads, thing: object, label: str, *attributes: str) -> None:
    """Make every use of these attributes of `thing` a scheduling point at which steps can clash.

    Getting a value that can be changed (a list, an object) counts as changing it.

    Args:
        threads: of the run that `thing` belongs to.
        thing: any object of a class written in Python; its class is replaced by a subclass.
        label: what reports call it; different for different objects.
        attributes: of the instance.
    """
    plain = type(thing)
    if isinstance(plain.__dict__.get("_watch_site"), Site):
        raise TypeError(f"{label} is watched already: name all attributes in one call")
    watched = _subclasses.get((plain, attributes))
    if watched is None:
        watched = _subclasses[plain, attributes] = _subclass(plain, attributes)
    site: Site = watched._watch_site  # type: ignore[attr-defined]  # noqa: SLF001  set by _subclass
    if getattr(site, "threads", None) is not threads:
        site.threads = threads
        site.labels.clear()
    site.labels[id(thing)] = label
    thing.__class__ = watched


def _subclass(plain: type, attributes: tuple[str, ...]) -> type:
    """A class like `plain` whose `attributes` are watched."""
    site = Site()
    body: dict[str, Any] = {
        name: WatchedAttribute(name, getattr(plain, name, None), site) for name in attributes
    }
    return type(plain.__name__, (plain,), {**body, "__slots__": (), "_watch_site": site})
