"""Every event's name, what it says and what it carries: one table.

Names are QEMU's trace points where one exists (``migration/trace-events``, ``hw/vfio/trace-events``), so
that an engineer greps both. A *detail* event happens once a packet or buffer, up to 100,000 a second; the
log keeps a bounded number of them. Every other event is kept.

Fields are JSON scalars, but for ``progress`` and ``events_suppressed``. Names in square brackets may be
absent.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """What is known of an event's name."""

    fields: str
    meaning: str
    detail: bool = False

    def required(self) -> frozenset[str]:
        """The fields every such event carries."""
        return frozenset(word for word in self.fields.split() if not word.startswith("["))

    def optional(self) -> frozenset[str]:
        """The fields such an event may carry."""
        return frozenset(word.strip("[]") for word in self.fields.split() if word.startswith("["))


EVENTS: dict[str, Kind] = {
    # the migration as a whole
    "migrate_set_state": Kind("state", "the migration entered a state of QEMU's MigrationStatus"),
    "vmstate_downtime_checkpoint": Kind("checkpoint", "one of CHECKPOINTS was passed"),
    "precopy_round": Kind(
        "round pages zero bytes pending [threshold] [bandwidth] [reason]",
        "a pass over dirty RAM was sent, bytes on the wire; round 0 is the last one, with the VM stopped",
    ),
    "clock_offset": Kind("offset rtt", "destination clock minus source clock, measured over the return path"),
    "progress": Kind("[phase]", "ten times a second, see observe/progress.py"),
    "listening": Kind("host port", "the destination accepts connections"),
    "connection_refused": Kind("reason", "a connection said something that is no hello of this migration"),
    "peer": Kind("what [machine] [channels]", "what the other side turned out to be"),
    "qemu_loadvm_state_section_startfull": Kind(
        "section idstr [instance]", "a section of a QEMU's main channel begins"
    ),
    "connected": Kind("channels", "the source has the main channel and so many multifd channels"),
    "loadvm_process_command": Kind("command", "a command of this number came on the main channel"),
    "source_return_path_thread_switchover_acked": Kind("acks", "so many devices have their initial data"),
    "source_return_path_thread_shut": Kind("status", "the destination said goodbye; 0 is well"),
    "vm_state": Kind("running runnable", "this side's VM runs or not; it may be started or not"),
    "error": Kind("message [kind] [side] [device] [channel] [idx] [phase]", "this side failed, and why"),
    "verify": Kind("what ok [device] [detail]", "a digest was compared; what is data, config or ram"),
    "order_rule_fired": Kind(
        "rule type stream record times [channel] [device] [idx]",
        "an order rule acts on a packet, for the times-th time; only the first 100 are told",
    ),
    "order_rule_expired": Kind("rule seconds", "what a rule waited for did not come; its packet goes on"),
    "order_rule_ended": Kind(
        "rule type stream fired expired required ok", "at the end: how often a rule acted, and in vain"
    ),
    "invariant": Kind("name ok [detail] [device]", "an invariant was checked where it happened"),
    "bql_held": Kind(
        "holder seconds [ago]", "the big lock was given back, ago seconds ago, by the emitting thread"
    ),
    "bql_total": Kind(
        "holder seconds [waited]", "at the end: all a thread held the big lock, and waited for it"
    ),
    "handoff_replaced": Kind(
        "asked handoff machine", "this machine type does not have the hand-off asked for; another one runs"
    ),
    "load_complete_ack": Kind("device", "all of a device is in, says its load thread (hand-off ack)"),
    "precopy_notify": Kind("reason", "notifiers are called (hand-off incoming-complete)"),
    "interrupt_controller_loaded": Kind("", "the platform's interrupt controller has its state"),
    "events_suppressed": Kind("count totals", "detail events beyond the limit: counted here, not kept"),
    # channels
    "multifd_send_packet": Kind(
        "channel idx bytes kind [device] [block] [config]",
        "kind: device, ram or sync",
        detail=True,
    ),
    "multifd_recv_packet": Kind(
        "channel idx bytes kind [device] [block] [config]", "a packet is complete", detail=True
    ),
    "multifd_send_sync_main": Kind("round", "a SYNC packet was put on every channel"),
    "multifd_recv_sync_main": Kind("[round]", "every channel met its SYNC packet"),
    "multifd_recv_sync": Kind("channel", "this channel met its SYNC packet and stands still"),
    "multifd_recv_sync_main_wait": Kind("[channel] [round]", "the incoming thread waits for SYNC packets"),
    "multifd_recv_sync_main_signal": Kind("[channel]", "this channel may read on after its SYNC"),
    "multifd_new_send_channel_async": Kind("channel", "the source connected a multifd channel"),
    "multifd_recv_new_channel": Kind("channel", "a multifd channel said hello"),
    "multifd_recv_channel_ended": Kind("channel", "a multifd channel reached its end"),
    # a device, saving
    "vfio_migration_set_device_state": Kind("device state", "a device entered a VFIO migration state"),
    "vfio_save_setup": Kind("[device]", "the source prepared a device"),
    "vfio_save_iterate": Kind("device bytes", "pre-copy data went out on the main channel"),
    "vfio_save_complete_precopy_thread_start": Kind("device", "the save thread of a device runs"),
    "vfio_save_complete_precopy_thread_end": Kind("device [bytes]", "all data was read; bytes of it"),
    "vfio_save_device_state_buffer": Kind(
        "device idx bytes [channel]",
        "a buffer of data (not config) was handed on",
        detail=True,
    ),
    # a device, loading
    "vfio_load_state_init_data_sent": Kind("device", "the device's initial pre-copy data is in"),
    "vfio_load_setup": Kind("device", "the destination prepared a device"),
    "vfio_load_state_device_buffer_incoming": Kind(
        "device idx queued", "a buffer took its slot; queued: bytes with it", detail=True
    ),
    "vfio_load_state_device_buffer_starved": Kind("device idx", "the load thread waits for it", detail=True),
    "vfio_load_state_device_buffer_load_start": Kind("device idx bytes", "a write begins", detail=True),
    "vfio_load_state_device_buffer_load_end": Kind("device idx bytes", "it ended", detail=True),
    "vfio_load_bufs_thread_start": Kind("device", "the load thread of a device runs"),
    "vfio_load_bufs_thread_end": Kind(
        "device [bytes] [wait] [load] [ready_wait] [config_load] [queued_peak]",
        "it ended; its own account in seconds and bytes",
    ),
    "config_ready": Kind(
        "device [idle]", "all data and the config are here, for idle seconds already; perhaps not yet allowed"
    ),
    "vfio_load_device_config_state_start": Kind("device [bytes]", "loading the config begins"),
    "vfio_load_device_config_state_end": Kind("device [bytes]", "the config is in"),
}

DETAIL: frozenset[str] = frozenset(name for name, kind in EVENTS.items() if kind.detail)

CHECKPOINTS: tuple[str, ...] = (
    "src-downtime-start",
    "src-vm-stopped",
    "src-iterable-saved",
    "src-non-iterable-saved",
    "dst-precopy-loadvm-completed",
    "dst-precopy-bh-enter",
    "dst-precopy-bh-announced",
    "dst-precopy-bh-vm-started",
)
"""QEMU's downtime checkpoints (10.0 and later), in the order they are passed."""
