"""The destination process of a schedule on real sockets; started by `migemu replay TOKEN --real` only.

Not a verb. ``python -m migemu.cli.turn_side TOKEN SCENARIO FOLDER``; SCENARIO is what the token was made
with, empty for one of the program's own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from migemu.cli.sides import receive_here
from migemu.lab.explored import owner_of
from migemu.lab.turn_real import TurnSession, turned
from migemu.scenario import load


def main(token: str, scenario: str, folder: str) -> int:
    """Receive one migration on a free port of this machine; the process's exit code."""
    given = load(Path(scenario)) if scenario else None
    plan = turned(owner_of(token, given))
    return receive_here(
        plan.run.scenario, Path(folder), lambda scenario, threads: TurnSession(plan, scenario, threads)
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
