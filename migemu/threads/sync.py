"""What a migration needs on top of locks and conditions: an abort, the BQL, a queue, a thread pool.

All of it is written against :class:`migemu.threads.api.Threads`, so it runs on real threads and under
the controlled scheduler alike. The common rule: every wait ends, by its event, by the abort of its
side, or by its deadline.
"""

from migemu.threads.abort import MOMENT, Abort, Patience
from migemu.threads.bql import Bql
from migemu.threads.pool import Pool
from migemu.threads.queue import Queue

__all__ = ["MOMENT", "Abort", "Bql", "Patience", "Pool", "Queue"]
