"""Watching what threads share, without a change to their code.

For two ends. A controlled run switches threads at locks, waits and the like; where a guard is *missing*,
there is nothing left to switch at, and the bug hides. Watched attributes are scheduling points of their own
wherever their guard is not held. And under a transparent lock (see
:meth:`~migemu.threads.controlled.ControlledThreads.transparent`) watching declares what each section uses.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migemu.threads.api import Lock
    from migemu.threads.controlled import ControlledThreads

IMMUTABLE = (int, float, complex, str, bytes, frozenset, Enum, type(None), type)
"""Values that cannot be changed through the attribute: getting one only looks at it."""

_subclasses: dict[tuple[type, tuple[str, ...]], type] = {}
"""Made once per process: a class is dear to make, and an exploration makes its objects anew each run."""


class Watcher:
    """Reports the uses of one object.

    Args:
        threads: of the run the object belongs to.
        label: what reports call it.
        guard: under which its use is no scheduling point.
    """

    __slots__ = ("_guard", "label", "threads")

    def __init__(self, threads: ControlledThreads, label: str, guard: Lock | None) -> None:
        self.threads = threads
        self._guard = guard
        self.label = label

    def use(self, part: object, *, write: bool) -> None:
        """The object's `part` is about to be used."""
        if self._guard is not None and self._guard.held():
            self.threads.uses(f"{self.label}.{part}", write=write)
        else:
            self.threads.touch(f"{self.label}.{part}", write=write)


class WatchedAttribute:
    """Stands in for an attribute of a watched class."""

    __slots__ = ("_inner", "_name", "_watchers")

    def __init__(self, name: str, inner: Any, watchers: dict[int, Watcher]) -> None:
        self._name = name
        self._inner = inner if hasattr(inner, "__set__") else None
        self._watchers = watchers

    def __get__(self, thing: Any, owner: type) -> Any:
        if thing is None:
            return self
        value = self._read(thing)
        if type(value) is WatchedDict:
            return value
        self._use(thing, write=not isinstance(value, IMMUTABLE))
        return self._read(thing)

    def __set__(self, thing: Any, value: Any) -> None:
        self._use(thing, write=True)
        if self._inner is not None:
            self._inner.__set__(thing, value)
        else:
            thing.__dict__[self._name] = value

    def _use(self, thing: object, *, write: bool) -> None:
        watcher = self._watchers.get(id(thing))
        if watcher is not None:
            watcher.use(self._name, write=write)

    def _read(self, thing: Any) -> Any:
        """The value as it is; a slot, or what the instance's dictionary holds."""
        if self._inner is not None:
            return self._inner.__get__(thing, type(thing))
        try:
            return thing.__dict__[self._name]
        except KeyError:
            raise AttributeError(self._name) from None


class WatchedDict(dict[Any, Any]):
    """A dictionary that reports the use of single keys; different keys do not clash.

    What is not about single keys (its length, going through it) clashes with every use.
    """

    __slots__ = ("_name", "_watcher")

    def __init__(self, content: dict[Any, Any], watcher: Watcher, name: str) -> None:
        super().__init__(content)
        self._watcher = watcher
        self._name = name

    def _key(self, key: object, *, write: bool) -> None:
        self._watcher.use(f"{self._name}[{key!r}]", write=write)
        self._watcher.use(self._name, write=False)

    def _whole(self) -> None:
        self._watcher.use(self._name, write=True)

    def __getitem__(self, key: Any) -> Any:
        self._key(key, write=False)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._key(key, write=False)
        return super().__contains__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        """As of a dict."""
        self._key(key, write=False)
        return super().get(key, default)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._key(key, write=True)
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        self._key(key, write=True)
        super().__delitem__(key)

    def pop(self, key: Any, *default: Any) -> Any:
        """As of a dict."""
        self._key(key, write=True)
        return super().pop(key, *default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """As of a dict."""
        self._key(key, write=True)
        return super().setdefault(key, default)

    def __iter__(self) -> Any:
        self._whole()
        return super().__iter__()

    def __len__(self) -> int:
        self._whole()
        return super().__len__()

    def keys(self) -> Any:
        """As of a dict."""
        self._whole()
        return super().keys()

    def values(self) -> Any:
        """As of a dict."""
        self._whole()
        return super().values()

    def items(self) -> Any:
        """As of a dict."""
        self._whole()
        return super().items()

    def update(self, *args: Any, **more: Any) -> None:
        """As of a dict."""
        self._whole()
        super().update(*args, **more)

    def popitem(self) -> tuple[Any, Any]:
        """As of a dict."""
        self._whole()
        return super().popitem()

    def clear(self) -> None:
        """As of a dict."""
        self._whole()
        super().clear()


def watch(
    threads: ControlledThreads, thing: object, label: str, *attributes: str, guard: Lock | None = None
) -> None:
    """Make every use of these attributes of `thing` known to the search.

    A use without the guard held is a scheduling point. Getting a value that can be changed (a list, an
    object) counts as changing it; dictionaries are watched key by key.

    Args:
        threads: of the run that `thing` belongs to.
        thing: any object of a class written in Python; its class is replaced by a subclass.
        label: what reports call it; different for different objects.
        attributes: of the instance.
        guard: the lock under which they are meant to be used.

    Raises:
        TypeError: `thing` is watched already.
    """
    plain = type(thing)
    if "_watchers" in plain.__dict__:
        raise TypeError(f"{label} is watched already: name all attributes in one call")
    watcher = Watcher(threads, label, guard)
    for name in attributes:
        value = getattr(thing, name)
        if type(value) is dict:
            setattr(thing, name, WatchedDict(value, watcher, name))
    watched = _subclasses.get((plain, attributes)) or _subclass(plain, attributes)
    watchers: dict[int, Watcher] = watched.__dict__["_watchers"]
    if any(known.threads is not threads for known in watchers.values()):
        watchers.clear()
    watchers[id(thing)] = watcher
    thing.__class__ = watched


def _subclass(plain: type, attributes: tuple[str, ...]) -> type:
    """A class like `plain` whose `attributes` are watched."""
    watchers: dict[int, Watcher] = {}
    body: dict[str, Any] = {"__slots__": (), "_watchers": watchers}
    for name in attributes:
        body[name] = WatchedAttribute(name, getattr(plain, name, None), watchers)
    made = _subclasses[plain, attributes] = type(plain.__name__, (plain,), body)
    return made
