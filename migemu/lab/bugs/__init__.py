"""The bug catalogue: ordering bugs of multifd device-state transfer, each in a file of its own.

A bug is a mutant (production's code with one guard, one lock or one order changed), a scenario, and the
invariant that breaks. `migemu bugs` finds each of them from a cold start. Mutants live here only; nothing in
the rooms below the lab knows of them.
"""

from __future__ import annotations

from importlib import import_module

from migemu.errors import UsageError
from migemu.lab.bugs.bug import Bug

__all__ = ["Bug", "catalogue", "get", "names"]

FILES = {
    "B1": "b01_config_before_data",
    "B2": "b02_config_before_gic",
    "B3": "b03_data_before_precopy",
    "B4": "b04_lock_order",
    "B5": "b05_cleanup_join",
    "B6": "b06_spurious_wakeup",
    "B7": "b07_missed_wakeup",
    "B8": "b08_partial_write",
    "B10": "b10_final_sync",
    "B12": "b12_late_error",
    "B13": "b13_wrong_main",
    "B15": "b15_join_before_shutdown",
    "B16": "b16_cleanup_while_connecting",
    "B17": "b17_receivers_outlive",
    "B18": "b18_stale_page",
    "B20": "b20_ready_tokens",
    "B21": "b21_unlocked_handover",
    "B23": "b23_cancel_overwritten",
    "B29": "b29_bad_idx",
    "B30": "b30_unlimited_queue",
    "B31": "b31_receivers_load",
    "B34": "b34_use_after_destroy",
    "D1": "d1_failed_channel_after_eof",
    "D2": "d2_clean_eof_at_flush",
    "D3": "d3_load_error_untold",
    "D4": "d4_token_not_handed_on",
    "D5": "d5_mutex_bql_flush",
    "C5": "c5_lost_packet",
    "C7": "c7_data_before_setup",
    "E3": "e3_sync_withheld",
    "E6": "e6_flush_withheld",
    "K6": "k6_missing_idx",
    "K19": "k19_no_switchover_start",
    "K20": "k20_switchover_start_twice",
    "mark-without-data": "mark_without_data",
    "ready-device-waits": "ready_device_waits",
}
"""Bug to its file, in the order of the catalogue; loaded when asked for."""


def names() -> list[str]:
    """Every bug's name."""
    return list(FILES)


def get(name: str) -> Bug:
    """The bug called `name`, in any case.

    Raises:
        UsageError: there is none.
    """
    found = next((known for known in FILES if known.lower() == name.lower()), None)
    if found is None:
        raise UsageError(f"no bug {name!r} in the catalogue; there are: {', '.join(FILES)}")
    entry: Bug = import_module(f"{__name__}.{FILES[found]}").BUG
    return entry


def catalogue() -> list[Bug]:
    """Every bug."""
    return [get(name) for name in FILES]
