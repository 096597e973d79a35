"""One connection and one packet end a QEMU that waits for a multifd migration: SIGSEGV in 10.0.13 and 11.1.3.

Needs nothing but Python. The destination::

    qemu-system-x86_64 -M none -m 16M -nodefaults -display none \
        -global migration.x-multifd=on -incoming tcp:127.0.0.1:4444
"""  # noqa: INP001  a script by itself

import socket
import struct
import sys

MAGIC, VERSION, PAGE = 0x11223344, 1, 4096
HELLO = struct.pack(">II16sB39x", MAGIC, VERSION, bytes(16), 0)
PACKET = (
    struct.pack(">IIIIIIQI28x256s1024x", MAGIC, VERSION, 0, 128, 1, PAGE, 1, 0, b"ram") + bytes([7]) * PAGE
)


def main(port: int) -> None:
    """Say hello as channel 0, and send a page of RAM before any main channel is there."""
    with socket.create_connection(("127.0.0.1", port), 10) as channel:
        channel.sendall(HELLO + PACKET)
        channel.recv(1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 4444)
