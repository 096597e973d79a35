"""Exploring orders: run a system under many schedules, keep the one that breaks it, shrink it, replay it.

A *system* is any program written against :class:`migemu.threads.api.Threads`; see :class:`System`. A
*strategy* says which schedules to try: :class:`Dfs`, :class:`RandomWalk`, :class:`Pct`, :class:`Portfolio`.
"""

from migemu.lab.explore.dfs import Dfs
from migemu.lab.explore.exploration import Budget, explore
from migemu.lab.explore.narrate import Narrative, narrate
from migemu.lab.explore.outcome import Failure, Outcome
from migemu.lab.explore.pct import Pct
from migemu.lab.explore.plan import FinalSystem, MakeSystem, Strategy, System
from migemu.lab.explore.portfolio import Portfolio
from migemu.lab.explore.randomwalk import RandomWalk
from migemu.lab.explore.report import Report, report
from migemu.lab.explore.runner import Runner
from migemu.lab.explore.shrink import Shrunk, shrink
from migemu.lab.explore.states import States
from migemu.lab.explore.tokens import Token, decode, encode
from migemu.threads.controlled_rules import EARLY_TIMEOUT, SPURIOUS_WAKEUP, Rules

__all__ = [
    "EARLY_TIMEOUT",
    "SPURIOUS_WAKEUP",
    "Budget",
    "Dfs",
    "Failure",
    "FinalSystem",
    "MakeSystem",
    "Narrative",
    "Outcome",
    "Pct",
    "Portfolio",
    "RandomWalk",
    "Report",
    "Rules",
    "Runner",
    "Shrunk",
    "States",
    "Strategy",
    "System",
    "Token",
    "decode",
    "encode",
    "explore",
    "narrate",
    "report",
    "shrink",
]
