"""A real QEMU as peer: found, started, spoken to over QMP, and given VFIO devices that need no hardware."""
