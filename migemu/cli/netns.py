"""``migemu netns``: the two processes of a run in two network namespaces, the kernel holding the rate."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from migemu.cli.compare import compare
from migemu.cli.place import Place
from migemu.cli.run import run
from migemu.cli.sweep import sweep
from migemu.link.netns import QDISCS, Qdisc, linked
from migemu.scenario.units import parse_rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.scenario import Side


@dataclass(frozen=True, slots=True)
class Namespaces:
    """A place for two processes that is made when it is needed: not for ``--help``."""

    rate: float | None
    qdisc: Qdisc

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Two namespaces and the link between them, for as long as the block lasts."""
        with linked(self.rate, self.qdisc) as pair:
            enter: dict[Side, list[str]] = {
                "source": pair.source.command(),
                "destination": pair.destination.command(),
            }
            yield Place(listen=f"{pair.destination.address}:0", insecure=True, enter=enter)


@click.group()
@click.option(
    "--rate", metavar="RATE", help="Of the link, each way, for example '1 Gbit/s'; default: as it is."
)
@click.option(
    "--qdisc",
    type=click.Choice(QDISCS),
    default="tbf",
    show_default=True,
    help="Which queue of the kernel holds the rate.",
)
@click.pass_context
def netns(context: click.Context, rate: str | None, qdisc: Qdisc) -> None:
    """Put source and destination in two network namespaces joined by a veth (root only).

    The rate is the kernel's own: headers count, and what does not fit is queued for 50 ms, then dropped.
    """
    context.obj = Namespaces(None if rate is None else parse_rate(rate), qdisc)


for verb in (run, compare, sweep):
    netns.add_command(verb)
