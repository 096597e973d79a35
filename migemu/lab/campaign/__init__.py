"""Campaigns: explorations and virtual sweeps in shards, on the processes of this machine or on many machines.

A shard is a pure function of a specification and a range of items (seeds, or runs of a sweep). Reports are
merged associatively and in any order, so the merged one says the same whoever ran which shard, and how often
one had to be run again.
"""

from migemu.lab.campaign.drive import run_campaign
from migemu.lab.campaign.kept import Folder, Memory
from migemu.lab.campaign.plan import Campaign
from migemu.lab.campaign.work import empty_report, merge, run_shard

__all__ = ["Campaign", "Folder", "Memory", "empty_report", "merge", "run_campaign", "run_shard"]
