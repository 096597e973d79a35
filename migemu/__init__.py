"""migemu: a live-migration laboratory for VFIO device state over QEMU's multifd wire."""

__version__ = "0.1.0"
