"""Bytes to records and back, sans I/O: no sockets, no threads, no clock.

==================  ==========================================================================
to read             :mod:`~migemu.wire.mainreader` the main channel, :mod:`~migemu.wire.reader` a multifd
                    channel, :mod:`~migemu.wire.returnpath` the way back, :mod:`~migemu.wire.hello`
to write            :mod:`~migemu.wire.mainwriter`, :mod:`~migemu.wire.multifd`, :mod:`~migemu.wire.vmdesc`
what there is       :mod:`~migemu.wire.records`, :mod:`~migemu.wire.multifd`, :mod:`~migemu.wire.vfio`,
                    :mod:`~migemu.wire.mainstream`, :mod:`~migemu.wire.extension` (what QEMU does not have)
memory and limits   :mod:`~migemu.wire.buffers`, :mod:`~migemu.wire.intake`, :mod:`~migemu.wire.limits`
for tools           :mod:`~migemu.wire.capture`, :mod:`~migemu.wire.describe`, :mod:`~migemu.wire.encode`,
                    :mod:`~migemu.wire.tail`
==================  ==========================================================================
"""
