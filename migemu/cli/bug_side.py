"""The destination process of a catalogued bug's variant; started by `migemu bugs reproduce --real` only.

Not a verb: nobody gets a broken destination by mistake. ``python -m migemu.cli.bug_side BUG VARIANT FOLDER``
"""

from __future__ import annotations

import sys
from pathlib import Path

from migemu.cli.sides import receive_here
from migemu.lab import bugs
from migemu.lab.bugs.session import MutantSession


def main(name: str, variant: str, folder: str) -> int:
    """Receive one migration on a free port of this machine; the process's exit code."""
    real = bugs.get(name).real
    assert real is not None  # noqa: S101  who starts this has looked
    run = real.broken if variant == "broken" else real.correct
    return receive_here(
        run.scenario, Path(folder), lambda scenario, threads: MutantSession(run, scenario, threads)
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
