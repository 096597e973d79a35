"""Numbers for threads and objects that are the same in every run of an exploration.

Footprints, sleeping threads and saved frontiers name threads and objects by small numbers. Those must not
depend on the schedule, so a number belongs to a key: who made the thing, how it is called, and the
how-manieth of that name it is.
"""

from __future__ import annotations


class Names:
    """The tables; `used` counts names within one run, the rest stays."""

    __slots__ = ("objects", "threads", "used")

    def __init__(self) -> None:
        self.objects: dict[str, int] = {}
        self.threads: dict[str, tuple[int, int]] = {}
        self.used: dict[str, int] = {}

    def bit(self, key: str) -> int:
        """The bit of the object `key` in footprints."""
        bit = self.objects.get(key)
        if bit is None:
            bit = self.objects[key] = 1 << len(self.objects)
        return bit

    def thread(self, key: str) -> tuple[int, int]:
        """The number of the thread `key`, and its bit in footprints."""
        known = self.threads.get(key)
        if known is None:
            known = self.threads[key] = (len(self.threads), self.bit(key))
        return known

    def unique(self, maker: int, name: str) -> str:
        """A key for a new thing called `name`, made by the thread `maker`."""
        key = f"{maker}:{name}"
        count = self.used.get(key)
        if count is None:
            self.used[key] = 1
            return key
        self.used[key] = count + 1
        return f"{key}#{count}"

    def dump(self) -> dict[str, list[str]]:
        """The tables as JSON can hold them; a bit is the place in the list."""
        return {"objects": list(self.objects), "threads": list(self.threads)}

    def restore(self, saved: dict[str, list[str]]) -> None:
        """Take the tables of an earlier exploration."""
        self.objects = {key: 1 << place for place, key in enumerate(saved["objects"])}
        self.threads = {key: (place, self.objects[key]) for place, key in enumerate(saved["threads"])}
