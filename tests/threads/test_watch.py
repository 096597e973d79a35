"""Watched attributes: a missing guard becomes visible, and what is used under a lock becomes known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.lab.explore import Dfs, Rules, explore
from migemu.threads.controlled_watch import watch

if TYPE_CHECKING:
    from migemu.threads.controlled import ControlledThreads


class Counter:
    """Counts, under its lock or not."""

    def __init__(self, threads: ControlledThreads, *, guarded: bool) -> None:
        self.mutex = threads.lock("counter mutex")
        self.guarded = guarded
        self.value = 0

    def add(self) -> None:
        if self.guarded:
            with self.mutex:
                self.value = self.value + 1
        else:
            self.value = self.value + 1


class Slotted:
    __slots__ = ("items", "value")

    def __init__(self) -> None:
        self.value = 1
        self.items: dict[str, int] = {}


class TwoAdders:
    def __init__(self, *, guarded: bool, watched: bool) -> None:
        self.guarded = guarded
        self.watched = watched

    def build(self, threads: ControlledThreads) -> None:
        self.counter = Counter(threads, guarded=self.guarded)
        if self.watched:
            watch(threads, self.counter, "counter", "value", guard=self.counter.mutex)
        for number in range(2):
            threads.spawn(f"adder {number}", self.counter.add)

    def final(self) -> int:
        return self.counter.value


def finals(*, guarded: bool, watched: bool) -> set[object]:
    outcome = explore(lambda: TwoAdders(guarded=guarded, watched=watched), Dfs(), rules=Rules())
    assert outcome.exhausted
    return {final for _, final in outcome.finals}


def test_a_missing_lock_is_found_once_the_attribute_is_watched() -> None:
    assert finals(guarded=False, watched=False) == {2}
    assert finals(guarded=False, watched=True) == {1, 2}
    assert finals(guarded=True, watched=True) == {2}


class Cells:
    """Two threads use cells of a dictionary under a lock that is declared to be transparent."""

    def __init__(self, first: str, second: str, *, transparent: bool) -> None:
        self.keys = (first, second)
        self.transparent = transparent

    def build(self, threads: ControlledThreads) -> None:
        self.slots = Slotted()
        mutex = threads.lock("mutex")
        if self.transparent:
            threads.transparent(mutex)
            watch(threads, self.slots, "slots", "items", "value", guard=mutex)

        def put(number: int) -> None:
            with mutex:
                self.slots.items[self.keys[number]] = number

        for number in range(2):
            threads.spawn(f"put {number}", lambda number=number: put(number))  # type: ignore[misc]  # a default binds the loop variable

    def final(self) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(dict(self.slots.items).items()))


@pytest.mark.parametrize(
    ("keys", "transparent", "schedules"), [("ab", False, 2), ("ab", True, 1), ("aa", True, 2)]
)
def test_sections_that_use_different_keys_commute_under_a_transparent_lock(
    keys: str,
    transparent: bool,  # noqa: FBT001  a column of the table above
    schedules: int,
) -> None:
    outcome = explore(lambda: Cells(keys[0], keys[1], transparent=transparent), Dfs())
    assert outcome.verdict == f"exhausted: {schedules} schedules"
    expected = {(("a", 0), ("b", 1))} if keys == "ab" else {(("a", 0),), (("a", 1),)}
    assert {final for _, final in outcome.finals} == expected


def test_a_watched_object_behaves_as_before() -> None:
    seen: list[object] = []

    class System:
        def build(self, threads: ControlledThreads) -> None:
            thing = Slotted()
            watch(threads, thing, "thing", "value", "items")

            def use() -> None:
                thing.value += 1
                items = thing.items
                items["a"] = 1
                items.setdefault("b", 2)
                items.update(c=3)
                seen.extend([thing.value, "a" in items, items.get("x", 0), items.pop("a"), len(items)])
                del items["b"]
                seen.extend([list(items), list(items.keys()), list(items.values()), list(items.items())])
                seen.extend([items.popitem(), isinstance(thing, Slotted)])
                items.clear()
                seen.append(items["c"] if "c" in items else dict(items))

            threads.spawn("user", use)

    assert explore(System, Dfs()).exhausted
    once = [2, True, 0, 1, 2, ["c"], ["c"], [3], [("c", 3)], ("c", 3), True, {}]
    assert seen[: len(once)] == once


def test_an_object_is_watched_once() -> None:
    class System:
        def build(self, threads: ControlledThreads) -> None:
            thing = Slotted()
            watch(threads, thing, "thing", "value")
            with pytest.raises(TypeError, match="watched already"):
                watch(threads, thing, "thing", "items")

    assert explore(System, Dfs()).exhausted
