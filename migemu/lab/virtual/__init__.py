"""Virtual runs: both sides and the link in one process, on the controlled threads with a virtual clock.

The hand-off, reassembly, device, save, barrier and decision code is the code that runs over sockets. Only the
channels and the clock are models (:mod:`~migemu.lab.virtual.wire`), and content is a place and a size instead
of bytes (:mod:`migemu.vfio.virtual`, :mod:`~migemu.lab.virtual.memory`).
"""

from migemu.lab.virtual.run import run_virtual, virtual_runner

__all__ = ["run_virtual", "virtual_runner"]
