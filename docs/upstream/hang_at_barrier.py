"""A multifd connection that closes before a barrier hangs the destination: QEMU 7.2.22, 10.0.13 and 11.1.3.

Its monitor answers nothing any more, and SIGTERM does not end it. Needs nothing but Python. The destination::

    qemu-system-x86_64 -M none -m 16M -nodefaults -display none \
        -global migration.x-multifd=on -incoming tcp:127.0.0.1:4444
"""  # noqa: INP001  a script by itself

import socket
import struct
import sys

MAGIC, VERSION, RAM = 0x11223344, 1, 16 << 20
SYNC = struct.pack(">IIIIIIQI28x256s1024x", MAGIC, VERSION, 1, 0, 0, 0, 0, 0, b"")
HEADER = b"QEVM" + struct.pack(">I", 3) + b"\7" + struct.pack(">I", 4) + b"none"
BLOCKS = struct.pack(">BIB3sII", 1, 2, 3, b"ram", 0, 4) + struct.pack(">QB3sQ", RAM | 4, 3, b"ram", RAM)
FLUSH = struct.pack(">QQBI", 0x200, 0x10, 0x7E, 2)  # the barrier, the end of the section's body, its footer


def connect(port: int, said: bytes) -> socket.socket:
    """A connection that begins with these bytes."""
    made = socket.create_connection(("127.0.0.1", port), 10)
    made.sendall(said)
    return made


def hello(channel: int) -> bytes:
    """The first bytes of a multifd channel."""
    return struct.pack(">II16sB39x", MAGIC, VERSION, bytes(16), channel)


def main(port: int, *, well: bool) -> None:
    """Two channels: one is at the barrier, the other closes before it; `well`: it gets there too."""
    stream = connect(port, HEADER)
    first = connect(port, hello(0) + SYNC)
    second = connect(port, hello(1) + (SYNC if well else b""))
    if not well:
        second.close()
    stream.sendall(BLOCKS + FLUSH)
    stream.close()
    first.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 4444, well="well" in sys.argv)
