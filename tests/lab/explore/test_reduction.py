"""The reduced search finds exactly what the full search finds, in fewer schedules.

Shown on the textbook systems and on generated programs: a few threads with a few operations each on two
locks, two conditions, unguarded cells, timers, joins, spawns and faults. What is compared is the set of all
(failure, final state) pairs: who saw what, in which order everything was written, and how it ended.
"""

from __future__ import annotations

import weakref
from random import Random
from typing import TYPE_CHECKING

import pytest

from migemu.lab.explore import EARLY_TIMEOUT, SPURIOUS_WAKEUP, Budget, Dfs, Outcome, Rules, States, explore
from migemu.lab.explore.textbook import BoundedQueue, ReadersWriters

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from migemu.lab.explore import MakeSystem
    from migemu.threads.controlled import ControlledThreads

Operation = tuple[str, int, int]
Program = list[list[Operation]]


class Generated:
    """Runs a generated program; every operation is a method, `a` and `b` say on which objects."""

    OPERATIONS = (
        *("put", "put", "nest", "take", "give", "give_all", "write", "read"),
        *("try_put", "late_put", "sleep", "nap", "look", "fault", "child", "join"),
    )

    def __init__(self, program: Program, *, transparent: bool) -> None:
        self.program = program
        self.transparent = transparent

    def build(self, threads: ControlledThreads) -> None:
        self.threads = threads
        self.locks = [threads.lock(f"lock {n}") for n in range(2)]
        self.bells = [threads.condition(lock, f"bell {n}") for n, lock in enumerate(self.locks)]
        if self.transparent:
            for lock in self.locks:
                threads.transparent(lock)
        self.cells: dict[tuple[int, int], list[str]] = {(a, b): [] for a in range(2) for b in range(2)}
        self.given = [0, 0]
        self.bare = [0, 0]
        self.logs: dict[str, list[object]] = {f"t{n}": [] for n in range(len(self.program))}
        self.workers = [
            threads.spawn(f"t{n}", lambda n=n: self.run(f"t{n}", n, self.program[n]))  # type: ignore[misc]  # a default binds the loop variable
            for n in range(len(self.program))
        ]

    def run(self, name: str, number: int, operations: list[Operation]) -> None:
        for place, (operation, a, b) in enumerate(operations):
            self.name, me = name, (name, number, f"{name}.{place}")
            getattr(self, operation)(me, a, b)

    def _put(self, me: tuple[str, int, str], a: int, b: int) -> None:
        self.threads.uses(f"cell {a}{b}")
        self.cells[a, b].append(me[2])

    def put(self, me: tuple[str, int, str], a: int, b: int) -> None:
        with self.locks[a]:
            self._put(me, a, b)

    def nest(self, me: tuple[str, int, str], a: int, b: int) -> None:
        with self.locks[a]:
            self._put(me, a, b)
            if a != b:
                with self.locks[b]:
                    self._put(me, b, 0)
                self.threads.uses(f"cell {a}1", write=False)
                self.logs[me[0]].append(tuple(self.cells[a, 1]))

    def take(self, me: tuple[str, int, str], a: int, _: int) -> None:
        with self.locks[a]:
            self.threads.uses(f"given {a}")
            while not self.given[a]:
                self.bells[a].wait()
                self.threads.uses(f"given {a}")
            self.given[a] -= 1
            self.logs[me[0]].append(self.given[a])

    def give(self, _me: tuple[str, int, str], a: int, _: int) -> None:
        with self.locks[a]:
            self.threads.uses(f"given {a}")
            self.given[a] += 1
            self.bells[a].notify()

    def give_all(self, _me: tuple[str, int, str], a: int, _: int) -> None:
        with self.locks[a]:
            self.threads.uses(f"given {a}")
            self.given[a] += 2
            self.bells[a].notify_all()

    def write(self, me: tuple[str, int, str], a: int, _: int) -> None:
        self.threads.touch(f"bare {a}")
        self.bare[a] = self.bare[a] * 7 + me[1] + 1

    def read(self, me: tuple[str, int, str], a: int, _: int) -> None:
        self.threads.touch(f"bare {a}", write=False)
        self.logs[me[0]].append(self.bare[a])

    def try_put(self, me: tuple[str, int, str], a: int, b: int) -> None:
        taken = self.locks[a].acquire(timeout=0)
        self.logs[me[0]].append(taken)
        if taken:
            self._put(me, a, b)
            self.locks[a].release()

    def late_put(self, me: tuple[str, int, str], a: int, b: int) -> None:
        taken = self.locks[a].acquire(timeout=1)
        self.logs[me[0]].append((taken, self.threads.now()))
        if taken:
            self._put(me, a, b)
            self.threads.sleep(2 * b)
            self.locks[a].release()

    def sleep(self, _me: tuple[str, int, str], a: int, _: int) -> None:
        self.threads.sleep(1 + a)

    def nap(self, me: tuple[str, int, str], a: int, b: int) -> None:
        with self.locks[a]:
            self.logs[me[0]].append((self.bells[a].wait(1 + b), self.threads.now()))

    def look(self, me: tuple[str, int, str], _a: int, _b: int) -> None:
        self.logs[me[0]].append(self.workers[(me[1] + 1) % len(self.workers)].alive())

    def fault(self, me: tuple[str, int, str], a: int, b: int) -> None:
        if self.threads.choose("fault", 2):
            self.put(me, a, b)

    def child(self, me: tuple[str, int, str], a: int, b: int) -> None:
        if "/" not in me[0]:
            name = f"{me[2]}/"
            self.logs.setdefault(name, [])
            self.threads.spawn(name, lambda: self.run(name, me[1], [("put", a, b), ("give", b, a)]))

    def join(self, me: tuple[str, int, str], a: int, _: int) -> None:
        if me[1]:
            self.logs[me[0]].append(self.workers[me[1] - 1].join(None if a else 1.5))

    def final(self) -> Hashable:
        cells = tuple(tuple(cell) for cell in self.cells.values())
        logs = tuple(sorted((name, tuple(log)) for name, log in self.logs.items()))
        return cells, tuple(self.given), tuple(self.bare), logs


def generate(seed: int) -> tuple[Program, Rules]:
    random = Random(seed)  # noqa: S311  programs, not secrets
    threads, longest = random.choice([(2, 3), (2, 3), (3, 2)])
    program = [
        [
            (random.choice(Generated.OPERATIONS), random.randrange(2), random.randrange(2))
            for _ in range(random.randint(1, longest))
        ]
        for _ in range(threads)
    ]
    kinds = [kind for kind in ("fault", SPURIOUS_WAKEUP, EARLY_TIMEOUT) if random.random() < 0.25]
    budget = random.choice([1, 2, None])
    return program, Rules(
        faults=frozenset(kinds),
        fault_budget=budget,
        releases=random.random() < 0.2,
        keep_going=True,
        max_steps=400,
    )


def search(make: MakeSystem, rules: Rules, *, reduce: bool, limit: int = 2000) -> Outcome:
    return explore(make, Dfs(reduce=reduce), Budget(schedules=limit, confirmed=1), rules)


TEXTBOOK: dict[str, Callable[[], BoundedQueue | ReadersWriters]] = {
    "queue": lambda: BoundedQueue(1, 2, 2),
    "queue, wake-ups lost": lambda: BoundedQueue(2, 1, 1, notify_all=False),
    "queue, if": lambda: BoundedQueue(1, 2, 2, loop=False),
    "readers": ReadersWriters,
    "readers, no barrier": lambda: ReadersWriters(barrier=False),
}


@pytest.mark.parametrize("make", TEXTBOOK.values(), ids=TEXTBOOK)
def test_textbook_systems_end_in_the_same_states(make: MakeSystem) -> None:
    rules = Rules(keep_going=True)
    full = search(make, rules, reduce=False, limit=20_000)
    reduced = search(make, rules, reduce=True)
    assert full.exhausted
    assert reduced.exhausted
    assert reduced.finals == full.finals
    assert reduced.schedules * 3 <= full.schedules


@pytest.mark.parametrize("make", TEXTBOOK.values(), ids=TEXTBOOK)
def test_a_search_over_states_ends_in_the_same_ones(make: MakeSystem) -> None:
    rules = Rules(keep_going=True)
    reduced = search(make, rules, reduce=True)
    states = explore(make, States(), Budget(confirmed=1), rules)
    assert states.exhausted
    assert states.finals == reduced.finals
    assert states.schedules + states.pruned < reduced.schedules


def test_searches_over_states_that_are_over_do_not_pile_up() -> None:
    """Each keeps a list of all that there is; the next one lets go of it before it makes its own."""
    make, searches = next(iter(TEXTBOOK.values())), []
    for _ in range(5):
        states = States()
        searches.append(weakref.ref(states))
        explore(make, states, Budget(schedules=5, confirmed=1), Rules(keep_going=True))
        del states
    assert sum(search() is not None for search in searches) <= 1


STATEFUL: list[int] = [*range(30), 135]
"""Seeds; the last one showed that what follows a state that was met follows the states before it too."""


def test_generated_programs_end_in_the_same_states_for_a_search_over_states() -> None:
    for seed in STATEFUL:
        program, rules = generate(seed)
        reduced = search(lambda: Generated(program, transparent=True), rules, reduce=True)  # noqa: B023  run at once
        states = explore(
            lambda: Generated(program, transparent=True),  # noqa: B023  run at once
            States(),
            Budget(schedules=3000, confirmed=1),
            rules,
        )
        if reduced.exhausted:
            assert states.finals == reduced.finals, (seed, program)


def test_generated_programs_end_in_the_same_states() -> None:
    compared = full_schedules = reduced_schedules = 0
    for seed in range(110):
        program, rules = generate(seed)
        full = search(lambda: Generated(program, transparent=False), rules, reduce=False)  # noqa: B023  run at once
        if not full.exhausted:
            continue
        for transparent in (False, True):
            reduced = search(lambda: Generated(program, transparent=transparent), rules, reduce=True)  # noqa: B023  run at once
            assert reduced.exhausted, (seed, program)
            assert reduced.finals == full.finals, (seed, transparent, program)
        compared += 1
        full_schedules += full.schedules
        reduced_schedules += reduced.schedules
    assert compared >= 80
    assert reduced_schedules * 10 < full_schedules


HARD: dict[str, tuple[Program, frozenset[str]]] = {
    "a step in between decides who can begin the other order": (
        [
            [("nest", 1, 0), ("write", 0, 1)],
            [("nest", 1, 0), ("read", 0, 0)],
            [("nest", 0, 1), ("put", 0, 0)],
        ],
        frozenset(),
    ),
    "a thread that never got its lock had another order too": (
        [[("nest", 1, 0), ("put", 1, 0)], [("nest", 1, 1)], [("nest", 0, 1)]],
        frozenset(),
    ),
    "an early timeout takes the clock along for the others": (
        [[("nap", 0, 1)], [("late_put", 1, 0)]],
        frozenset({EARLY_TIMEOUT}),
    ),
}
"""Programs that told a wrong reduction from a right one."""


@pytest.mark.parametrize(("program", "kinds"), HARD.values(), ids=HARD)
@pytest.mark.parametrize("transparent", [False, True], ids=["opaque", "transparent"])
def test_hard_programs_end_in_the_same_states(
    program: Program,
    kinds: frozenset[str],
    transparent: bool,  # noqa: FBT001  both kinds of locks
) -> None:
    rules = Rules(faults=kinds, keep_going=True)
    full = search(lambda: Generated(program, transparent=False), rules, reduce=False, limit=8000)
    reduced = search(lambda: Generated(program, transparent=transparent), rules, reduce=True)
    assert full.exhausted
    assert reduced.finals == full.finals


def test_steps_that_commute_are_tried_in_one_order() -> None:
    class Apart:
        """Threads that never meet."""

        def build(self, threads: ControlledThreads) -> None:
            def take(name: str) -> None:
                with threads.lock(f"lock {name}"):
                    pass

            for name in "abc":
                threads.spawn(name, lambda name=name: take(name))  # type: ignore[misc]  # a default binds the loop variable

    assert explore(Apart, Dfs()).schedules == 1
    assert explore(Apart, Dfs(reduce=False)).schedules == 90


def test_a_clock_that_moves_is_a_border_that_nothing_crosses() -> None:
    class Rounds:
        """Two threads that meet once before and once after the clock has moved."""

        def build(self, threads: ControlledThreads) -> None:
            lock = threads.lock("lock")
            self.order: list[str] = []

            def work() -> None:
                for _ in range(2):
                    with lock:
                        self.order.append(threads.current())
                    threads.sleep(1)

            for name in "ab":
                threads.spawn(name, work)

        def final(self) -> str:
            return "".join(self.order)

    outcome = explore(Rounds, Dfs())
    assert outcome.schedules == 4
    assert {final for _, final in outcome.finals} == {"abab", "abba", "baab", "baba"}
