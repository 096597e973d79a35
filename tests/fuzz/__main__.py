"""Coverage-guided fuzzing: ``make fuzz``, or ``cd tests && python -m fuzz TARGET [libFuzzer's options]``.

TARGET is a parser of the wire (main, multifd, hello, returns, small) or ``destination``. Inputs that find
something are written where libFuzzer's ``-artifact_prefix`` says; keep them in regressions/TARGET/.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # it has no stubs

with atheris.instrument_imports(
    include=["migemu.wire", "migemu.destination", "migemu.vfio", "migemu.handoff"]
):
    from fuzz.destination import play
    from fuzz.tape import good, spoiled
    from fuzz.wire import PARSERS, feed

HERE = Path(__file__).parent


def seeds(target: str, folder: Path) -> None:
    """Something to start from: whole streams, and whatever found something before."""
    folder.mkdir(parents=True, exist_ok=True)
    main, first, *_ = good()
    start = {"main": b"\x10" + main, "multifd": first[:9000], "destination": b"\0" * 6}
    (folder / "seed").write_bytes(start.get(target, b"\0" * 16))
    for kept in (HERE / "regressions" / target).glob("*"):
        (folder / kept.name).write_bytes(kept.read_bytes())


def main() -> None:
    """Fuzz one target until told to stop."""
    target, options = sys.argv[1], sys.argv[2:]
    corpus = Path("/tmp") / f"migemu-fuzz-{target}"  # noqa: S108  a corpus is kept between runs, not in the tree
    seeds(target, corpus)
    if target == "destination":
        atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: play(spoiled(data)))
    else:
        atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: feed(PARSERS[target], data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
