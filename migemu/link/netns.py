"""Two network namespaces joined by a veth whose ends the kernel holds to a rate.

The namespaces have no names: each is held open by a ``cat`` whose standard input is a pipe from this
process. When this process ends, however it ends, both pipes close, both holders end, and the kernel takes
namespaces, veth and queues away. Nothing of it is ever in the machine's own network: the veth is made
inside the source's namespace, so parallel runs cannot meet and no firewall or forwarding matters.

The addresses are of 198.18.0.0/15, set aside for benchmarks of network devices (RFC 2544).
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from migemu.errors import MigemuError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Qdisc = Literal["tbf", "htb"]
QDISCS: tuple[Qdisc, ...] = ("tbf", "htb")

SOURCE_ADDRESS = "198.18.0.1"
DESTINATION_ADDRESS = "198.18.0.2"

STEP_TIMEOUT = 10.0
"""Seconds that one of the set-up commands may take."""

# Segmentation offload hands the queue 64 KiB at a time, so a smaller bucket would never be full enough; at
# high rates a bucket must also hold what the link carries between two of the timer's ticks.
MIN_BURST = 256 * 1024
BURST_TIME = 0.001
QUEUE_TIME_MS = 50

# Which Debian package a person has to install for each tool.
_TOOLS = {"ip": "iproute2", "tc": "iproute2", "nsenter": "util-linux", "unshare": "util-linux"}


@dataclass(frozen=True, slots=True)
class Namespace:
    """One end of the pair: the process that holds it open, and its address on the veth."""

    pid: int
    address: str

    def command(self, *argv: str) -> list[str]:
        """`argv` as a command that runs inside; it keeps the machine's files, users and /sys."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *argv]


@dataclass(frozen=True, slots=True)
class Pair:
    """The two ends of a link, up and shaped."""

    source: Namespace
    destination: Namespace


def qdisc_commands(rate: float, qdisc: Qdisc) -> list[list[str]]:
    """The ``tc`` commands that hold ``eth0``'s sending side to `rate` bytes per second."""
    bits, burst = f"{round(rate * 8)}bit", str(max(MIN_BURST, round(rate * BURST_TIME)))
    add = ["tc", "qdisc", "add", "dev", "eth0", "root"]
    if qdisc == "tbf":
        return [[*add, "tbf", "rate", bits, "burst", burst, "latency", f"{QUEUE_TIME_MS}ms"]]
    tree = ["tc", "class", "add", "dev", "eth0", "parent", "1:", "classid", "1:1", "htb"]
    return [
        [*add, "handle", "1:", "htb", "default", "1"],
        [*tree, "rate", bits, "burst", burst, "cburst", burst],
    ]


@contextmanager
def linked(rate: float | None = None, qdisc: Qdisc = "tbf") -> Iterator[Pair]:
    """Two namespaces joined by a veth, gone when the block ends.

    Args:
        rate: bytes per second in each direction, headers included; None leaves the link as fast as it is.
        qdisc: which of the kernel's queueing disciplines holds the rate.

    Raises:
        UsageError: not root, a tool is missing, or the rate is not above zero.
        MigemuError: the kernel refused a step; the message names it and says why.
    """
    _check(rate)
    with ExitStack() as stack:
        source = Namespace(stack.enter_context(_holder()), SOURCE_ADDRESS)
        destination = Namespace(stack.enter_context(_holder()), DESTINATION_ADDRESS)
        veth = ("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0")
        _step(source.command(*veth, "netns", str(destination.pid)))
        for end in (source, destination):
            _bring_up(end)
            for command in qdisc_commands(rate, qdisc) if rate is not None else ():
                _step(end.command(*command))
        yield Pair(source, destination)


def _check(rate: float | None) -> None:
    if os.geteuid() != 0:
        raise UsageError("making network namespaces needs root; without it, [link] in the config paces")
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            raise UsageError(f"network namespaces need `{tool}` (Debian package {package})")
    if rate is not None and rate < 1:
        raise UsageError(f"a link of {rate} bytes per second carries nothing; give a rate above zero")


def _bring_up(end: Namespace) -> None:
    _step(end.command("ip", "address", "add", f"{end.address}/30", "dev", "eth0"))
    for device in ("lo", "eth0"):
        _step(end.command("ip", "link", "set", device, "up"))


@contextmanager
def _holder() -> Iterator[int]:
    """A process in a network namespace of its own; ends with this block or with this process."""
    with subprocess.Popen(
        ["unshare", "--net", "cat"],  # noqa: S607 - found on PATH: _check saw it there
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as holder:
        try:
            _await_echo(holder)
            yield holder.pid
        finally:
            holder.kill()


def _await_echo(holder: subprocess.Popen[bytes]) -> None:
    """Wait until `holder` is ``cat``, which is when it has left this process's namespace."""
    assert holder.stdin is not None  # noqa: S101 - for the type checker: both are pipes
    assert holder.stdout is not None  # noqa: S101
    with suppress(BrokenPipeError):  # it has ended already: the end of its output says so
        holder.stdin.write(b"?")
    if not select.select([holder.stdout], [], [], STEP_TIMEOUT)[0]:
        raise MigemuError(f"no network namespace: unshare took longer than {STEP_TIMEOUT:g} s")
    if not holder.stdout.read(1):
        reason = holder.communicate(timeout=STEP_TIMEOUT)[1].decode(errors="replace").strip()
        raise MigemuError(f"no network namespace: {reason or 'unshare ended'}")


def _step(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=STEP_TIMEOUT, check=False)  # noqa: S603 - our own words
    except subprocess.TimeoutExpired as error:
        raise MigemuError(f"`{' '.join(command)}` took longer than {STEP_TIMEOUT:g} s") from error
    if done.returncode:
        raise MigemuError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.returncode}")
