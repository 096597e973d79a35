"""Bytes to records and back, sans I/O: no sockets, no threads, no clock."""
