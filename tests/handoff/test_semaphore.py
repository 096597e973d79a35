"""A semaphore counts, and no wait outlives its migration."""

from __future__ import annotations

import pytest

from handoff.scene import Scene
from migemu.errors import CancelledMigrationError, MigemuError, PeerTimeoutError
from migemu.handoff.semaphore import Semaphore
from migemu.threads.sync import Abort, Patience


@pytest.fixture
def scene() -> Scene:
    return Scene()


def semaphore(scene: Scene, abort: Abort, seconds: float = 20.0) -> Semaphore:
    return Semaphore(scene, abort, Patience(scene, seconds), "it")


def test_each_wait_takes_one_post(scene: Scene) -> None:
    it = semaphore(scene, Abort(scene))
    passed: list[int] = []

    def two_waits() -> None:
        for number in range(2):
            it.wait("a post")
            passed.append(number)

    it.post()
    thread = scene.spawn("waiter", two_waits)
    scene.until_waits("waiter", "it posted")
    assert passed == [0]
    it.post()
    assert thread.join(10)
    assert passed == [0, 1]


def test_an_abort_wakes_the_waiter(scene: Scene) -> None:
    abort = Abort(scene)
    it = semaphore(scene, abort)
    met: list[MigemuError] = []

    def wait() -> None:
        try:
            it.wait("a post")
        except MigemuError as error:
            met.append(error)

    thread = scene.spawn("waiter", wait)
    scene.until_waits("waiter", "it posted")
    abort.set(CancelledMigrationError("enough"))
    assert thread.join(10)
    assert isinstance(met[0], CancelledMigrationError)


def test_a_wait_that_runs_out_says_what_for(scene: Scene) -> None:
    with pytest.raises(PeerTimeoutError, match=r"0\.01 s while waiting for the data of A"):
        semaphore(scene, Abort(scene), 0.01).wait("the data of A")
