"""Coverage-guided fuzzing: ``make fuzz``, or ``cd tests && python -m fuzz TARGET [libFuzzer's options]``.

TARGET is a parser of the wire (main, multifd, hello, returns, small), ``destination``, a whole one fed with a
migration of ours, or ``recorded``, fed with a real QEMU's. Inputs that find something are written where
libFuzzer's ``-artifact_prefix`` says; keep them in regressions/TARGET/.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import atheris  # type: ignore[import-untyped]  # it has no stubs

if TYPE_CHECKING:
    from collections.abc import Callable

ROOMS = ["migemu.wire", "migemu.destination", "migemu.vfio", "migemu.handoff", "migemu.qemu", "migemu.ram"]

with atheris.instrument_imports(include=ROOMS):
    from fuzz.destination import play
    from fuzz.recorded import NAMES, device_packets, play_spoiled, recorded
    from fuzz.tape import good, spoiled
    from fuzz.wire import PARSERS, feed

HERE = Path(__file__).parent
USUAL = ["-len_control=0", "-rss_limit_mb=512", "-timeout=120"]
"""Long inputs from the start; an input that takes two minutes, or a process that grows, is a finding."""
SEED = 8000
"""Bytes of a recording that a seed begins with: pages all look alike."""


def seeds(target: str, folder: Path) -> None:
    """Something to start from: whole streams, recordings, and whatever found something before."""
    folder.mkdir(parents=True, exist_ok=True)
    main, first, *_ = good()
    start = {
        "main": [b"\x10" + main, *(b"\x10" + recorded(name)[0][:SEED] for name in NAMES)],
        "multifd": [first[:SEED], device_packets()[:SEED], *(recorded(name)[1][:SEED] for name in NAMES[:2])],
        "destination": [bytes([kind, *range(5)]) for kind in range(64)],
        "recorded": [bytes([kind, *range(5)]) for kind in range(64)],
    }
    for number, seed in enumerate(start.get(target, [bytes(16)])):
        (folder / f"seed{number}").write_bytes(seed)
    for kept in (HERE / "regressions" / target).glob("*"):
        (folder / kept.name).write_bytes(kept.read_bytes())


def target_of(name: str) -> Callable[[bytes], object]:
    """What an input is given to."""
    if name == "destination":
        return lambda data: play(*spoiled(data))
    if name == "recorded":
        return play_spoiled
    return lambda data: feed(PARSERS[name], data)


def main() -> None:
    """Fuzz one target until told to stop."""
    target, options = sys.argv[1], sys.argv[2:]
    corpus = Path("/tmp") / f"migemu-fuzz-{target}"  # noqa: S108  a corpus is kept between runs, not in the tree
    seeds(target, corpus)
    atheris.Setup([sys.argv[0], *USUAL, *options, str(corpus)], target_of(target))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
