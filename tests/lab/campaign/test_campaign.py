"""Campaigns from end to end: interrupted, resumed, on lost workers, on Dask: always the same report."""

from __future__ import annotations

import json
import os
import signal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from lab.campaign.calls import deaf
from migemu.errors import ConfigError, MigemuError, UsageError
from migemu.lab.campaign import Campaign, Folder, Memory, cluster, run_campaign, run_shard
from migemu.lab.campaign.drive import LEAST_SECONDS, MOST_SECONDS, Here, shard_size
from migemu.lab.campaign.local import Local
from migemu.lab.campaign.plan import read
from migemu.lab.campaign.systems import of_bug, of_scenario
from migemu.lab.campaign.tell import Progress, lines
from migemu.lab.explore import Rules, Runner, decode, narrate
from migemu.lab.explore.shards import Spec
from migemu.lab.stock import stock

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

ITEMS = 60
B1 = Campaign.exploration(of_bug("B1", "mixed", 3), 0, ITEMS)
WHOLE = run_shard(B1.raw, 0, ITEMS)


class Interrupted(Here):
    """A person presses Ctrl-C after some shards."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.asked: list[tuple[int, int]] = []

    def each(self, raw: dict[str, Any], pieces: Sequence[tuple[int, int]]) -> Generator[dict[str, Any]]:
        self.asked += pieces
        for number, report in enumerate(super().each(raw, pieces)):
            if number == self.after:
                raise KeyboardInterrupt
            yield report


def test_an_interrupted_campaign_goes_on_and_runs_nothing_twice(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_campaign(B1, Interrupted(2), Folder(tmp_path, B1), shard=7)
    rest = Interrupted(99)
    kept = Folder(tmp_path, B1)
    assert run_campaign(B1, rest, kept, shard=10) == WHOLE
    assert rest.asked[0] == (14, 10)
    kept.settle()
    assert json.loads((tmp_path / "report.json").read_text()) == WHOLE


def test_a_folder_takes_no_other_campaign_and_says_which_file_is_broken(tmp_path: Path) -> None:
    run_campaign(B1, Here(), Folder(tmp_path, B1), shard=30)
    other = Campaign.exploration(of_bug("B1", "random", 3), 0, ITEMS)
    with pytest.raises(UsageError, match="holds another campaign"):
        Folder(tmp_path, other)
    next(tmp_path.glob("shard-*")).write_text("{")
    with pytest.raises(UsageError, match=r"shard-.*is no report.*remove it"):
        Folder(tmp_path, B1)


def test_parts_on_different_machines_share_a_folder(tmp_path: Path) -> None:
    for index in (2, 0, 1):
        part = B1.share(index, 3)
        kept = Folder(tmp_path, B1, part)
        assert kept.report["ranges"] == []  # the others' shards are none of its business
        report = run_campaign(part, Here(), kept, shard=8)
        assert report["ranges"] == [[20 * index, 20 * index + 20]]
    assert Folder(tmp_path, B1).report == WHOLE


def kill_one_after(first: int, victims: Callable[[], list[int]]) -> Callable[[Any], None]:
    """Kill a worker when the `first`-th report is in."""
    numbers = count(1)

    def progress(_report: Any) -> None:
        if next(numbers) == first:
            os.kill(victims()[0], signal.SIGKILL)

    return progress


def test_a_lost_process_loses_nothing_but_time() -> None:
    told: list[str] = []
    workers = Local(2, told.append)
    victims = lambda: [worker.process.pid for worker in workers.pool.workers if worker.piece]  # noqa: E731  short
    report = run_campaign(B1, workers, Memory(B1), shard=5, progress=kill_one_after(3, victims))
    assert report == WHOLE
    assert len(told) == 1


@pytest.mark.filterwarnings("ignore")  # Dask's and Tornado's own
def test_a_lost_dask_worker_loses_nothing_but_time() -> None:
    distributed = pytest.importorskip("distributed", reason="of the extra migemu[cluster]")
    many = Campaign(B1.raw, 0, 1000)
    with cluster.Dask(2) as workers:
        assert workers.size == 2
        assert all(workers.client.run(deaf).values())
        assert not deaf()
        victims = lambda: list(workers.client.run(os.getpid).values())  # noqa: E731  short
        report = run_campaign(many, workers, Memory(many), shard=50, progress=kill_one_after(3, victims))
        assert report == run_campaign(many, Local(2), Memory(many), shard=500)
        address = workers.client.scheduler.address
        with cluster.Dask(7, address) as guest:  # a cluster that is there already
            assert run_campaign(B1, guest, Memory(B1), shard=20) == WHOLE
            with pytest.raises(UsageError, match="no kind of campaign"):
                list(guest.each({**B1.raw, "kind": "war"}, [(0, 1)]))
    assert distributed.client._get_global_client() is None


def test_without_dask_a_person_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(cluster, "import_module", refuse)
    with pytest.raises(UsageError, match=r"pip install 'migemu\[cluster\]'"):
        cluster.Dask(2)


def pilot_of(seconds: list[float]) -> list[tuple[int, int]]:
    """The pieces that are left to the workers when the first shards take so long."""
    few = Campaign(B1.raw, 0, 3 if len(seconds) == 1 else 40)
    rest = Interrupted(99)
    moments = iter([moment for took in seconds for moment in (0.0, took)])
    run_campaign(few, rest, Memory(few), clock=lambda: next(moments))
    return rest.asked


def test_the_pilot_measures_by_doing_and_nothing_of_it_is_lost() -> None:
    moments = count(0.0, 0.3)  # each look at the clock is 0.3 s later
    rest = Interrupted(99)
    assert run_campaign(B1, rest, Memory(B1), clock=lambda: next(moments)) == WHOLE
    assert rest.asked == [(3, 14), (17, 14), (31, 14), (45, 14), (59, 1)]  # 2 s, at 0.3 s for two
    assert pilot_of([2.5]) == [(1, 1), (2, 1)]  # one that takes so long is not tried twice
    assert pilot_of([1.0, 0.2, 0.4]) == [(7, 20), (27, 13)]  # imports are not taken for work


@pytest.mark.parametrize("each", [1e-5, 0.003, 0.7, 30.0])
@pytest.mark.parametrize("workers", [1, 8, 500])
def test_shards_are_worth_handing_out_and_not_too_much_to_lose(each: float, workers: int) -> None:
    for items in (1, 10_000, 10_000_000):
        seconds = shard_size(each, items, workers) * each
        assert LEAST_SECONDS <= seconds < MOST_SECONDS + each or seconds == each


def test_production_passes_and_what_fails_has_a_token_that_replays() -> None:
    fine = Campaign.exploration(of_scenario(stock(), "mixed", 3, Rules()), 0, 40)
    assert lines(fine, run_shard(fine.raw, 0, 40))[-1] == "no failure"
    spec = Spec.from_dict(B1.raw["what"])
    system: Any = spec.make_system()
    word = lines(B1, WHOLE)[-1].removeprefix("token: ")
    replayed = narrate(Runner(system, spec.rules), decode(word, system.text()).decisions)
    assert replayed.failure is not None
    assert replayed.failure.kind in next(iter(WHOLE["failures"]))


def test_progress_is_told_now_and_then_with_the_rate() -> None:
    said: list[str] = []
    moments = iter([0.0, 1.0, 11.0])
    progress = Progress(B1, said.append, lambda: next(moments))
    progress(run_shard(B1.raw, 0, 1))
    progress(WHOLE)
    assert len(said) == 1
    assert said[0].startswith("60 seeds, 5/s, 0 left; ")
    assert "the earliest at" in said[0]


def test_another_version_would_run_other_schedules_and_refuses() -> None:
    with pytest.raises(UsageError, match=r"planned with migemu 0\.0\.1"):
        run_shard({**B1.raw, "migemu": "0.0.1"}, 0, 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema": "x"}, "not a campaign"),
        ({"kind": "war"}, "there are: exploration, sweep"),
        ({"what": {}}, "specification is wrong"),
        ({"count": -1}, "count: a whole number"),
        ({"first": True}, "first: a whole number"),
        ({"seeds": 3}, "has no seeds"),
        ({"kind": "sweep", "what": {"scenario": "", "runs": 0}}, "runs: a whole number"),
    ],
)
def test_a_wrong_file_is_told_before_anything_runs(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    file = tmp_path / "campaign.json"
    file.write_text(json.dumps({**B1.as_dict(), **change}))
    with pytest.raises(ConfigError, match=told) as error:
        read(file)
    assert str(file) in str(error.value)
    file.write_text(json.dumps(B1.as_dict()))
    assert read(file) == B1


def test_a_part_that_does_not_exist_is_refused() -> None:
    with pytest.raises(MigemuError, match="counts from 0 to 2"):
        B1.share(3, 3)
