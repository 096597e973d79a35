"""The device room: VFIO migration states, data fds, the save and load side, reassembly by idx."""

from migemu.vfio.content import DIGESTS, Digest, Loose, Payload, Span, digest_maker, digest_of
from migemu.vfio.datafd import Source, open_sink, open_source
from migemu.vfio.device import Device
from migemu.vfio.flow import Flow, FreeFlow, TotalCap, make_flow
from migemu.vfio.generated import Generated, generated_bytes
from migemu.vfio.load import LoadDevice
from migemu.vfio.model import DeviceModel, Faults, Platform
from migemu.vfio.pausing import PausingFlow
from migemu.vfio.reassembly import StateBuffers
from migemu.vfio.save import SaveDevice
from migemu.vfio.sinks import FileSink, MemfdWindow, Sink
from migemu.vfio.slots import BufferLimits, BufferStats, Loadable
from migemu.vfio.states import ARCS, Feature, State, path

__all__ = [
    "ARCS",
    "DIGESTS",
    "BufferLimits",
    "BufferStats",
    "Device",
    "DeviceModel",
    "Digest",
    "Faults",
    "Feature",
    "FileSink",
    "Flow",
    "FreeFlow",
    "Generated",
    "LoadDevice",
    "Loadable",
    "Loose",
    "MemfdWindow",
    "PausingFlow",
    "Payload",
    "Platform",
    "SaveDevice",
    "Sink",
    "Source",
    "Span",
    "State",
    "StateBuffers",
    "TotalCap",
    "digest_maker",
    "digest_of",
    "generated_bytes",
    "make_flow",
    "open_sink",
    "open_source",
    "path",
]
