"""Guest memory: pages, who dirties them, how they leave and land, and the proof that they are the same."""

from migemu.ram.digest import PageDigests, full_digest
from migemu.ram.dirty import DirtyLog
from migemu.ram.guest import DEFAULT_BLOCK, PAGE_SIZE, Block, GuestRam
from migemu.ram.incoming import RamLoad
from migemu.ram.outgoing import PAGES_PER_PACKET, RamBatch, batches
from migemu.ram.precopy import Decision, Estimator, Pending, Reason
from migemu.ram.writer import Writer

__all__ = [
    "DEFAULT_BLOCK",
    "PAGES_PER_PACKET",
    "PAGE_SIZE",
    "Block",
    "Decision",
    "DirtyLog",
    "Estimator",
    "GuestRam",
    "PageDigests",
    "Pending",
    "RamBatch",
    "RamLoad",
    "Reason",
    "Writer",
    "batches",
    "full_digest",
]
