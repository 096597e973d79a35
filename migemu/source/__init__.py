"""The source process: RAM and devices are read here and sent."""
