"""Each impossible combination, one line each: what is wrong and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.scenario import loads
from migemu.scenario.checks import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable

KEEP_STATE = '[[device]]\nstate = "vf.bin"\nkeep = "./vf.bin"'

IMPOSSIBLE = [
    ('[ram]\nsize = "4097 B"', "ram.size", "4 KiB is"),
    ('[ram]\nsize = "1 MiB"\nworking_set = "2 MiB"', "ram.working_set", "more than ram.size, 1 MiB"),
    (
        "[migration]\nswitchover_ack = true\nreturn_path = false",
        "migration.switchover_ack",
        "set return_path = true",
    ),
    ('[migration]\npacket_size = "1 GiB"', "migration.packet_size", "more than limits.max_payload"),
    ("[limits]\nqueue_total = 1000", "limits.queue_total", "at least migration.packet_size, 1 MiB"),
    ("[limits]\nqueue_per_device = 0", "limits.queue_per_device", "less than one packet"),
    (
        "[migration]\nchannels = 16\n[limits]\nmax_connections = 16",
        "limits.max_connections",
        "at least 17",
    ),
    ("[[device]]\ncount = 64\n[[device]]", "device", "65 devices; at most 64"),
    (
        '[[device]]\nid = "vf"\n[[device]]\nid = "vf"',
        "device.1.id",
        'device.0 is called "vf" already',
    ),
    ('[[device]]\nid = "0000:00:02.0"\n[[device]]', "device.1.id", "already"),  # the second one's own number
    ('[[device]]\nkeep = "x"\n[[device]]\nkeep = "x"', "device.1.keep", "device.0.keep already"),
    (KEEP_STATE, "device.0.keep", "device.0.state already"),
    ('[ram]\nfile = "r"\n[[device]]\nkeep = "r"', "device.0.keep", "ram.file already"),
    ("[[device]]\nprecopy = true", "device.0.initial_size", '"0 B" if it has none'),
    ("[[device]]\ninitial_size = 1", "device.0.initial_size", "set precopy = true"),
    ("[[device]]\nprecopy_size = 1", "device.0.precopy_size", "set precopy = true"),
    (
        "[[device]]\nprecopy = true\ninitial_size = 9\nprecopy_size = 8",
        "device.0.initial_size",
        "more than precopy_size, 8 B",
    ),
    (
        '[migration]\npacket_size = 64\n[[device]]\nstate_size = "1 TiB"',
        "device.0.state_size",
        "beyond a 32-bit idx",
    ),
    ('[[device]]\nconfig_size = "1 GiB"', "device.0.config_size", "limits.max_payload is 1 GiB"),
]


@pytest.mark.parametrize(("text", "key", "says"), IMPOSSIBLE)
def test_what_cannot_work_is_refused(wrong: Callable[..., list[str]], text: str, key: str, says: str) -> None:
    (line,) = wrong(text)
    assert line.startswith((f"it.toml: {key}: ", f"it.toml: {key} (of "))
    assert says in line


def test_every_check_is_met_by_one_of_these(wrong: Callable[..., list[str]]) -> None:
    lines = [line for text, _key, _says in IMPOSSIBLE for line in wrong(text)]
    assert len(lines) == len(IMPOSSIBLE) >= len(CHECKS)


@pytest.mark.parametrize(
    "text",
    [
        "[ram]\nsize = 0",
        "device = []",
        "[[device]]\nstate_size = 0\nconfig_size = 0",
        '[[device]]\nprecopy = true\ninitial_size = "0 B"',
        '[[device]]\nprecopy = true\ninitial_size = "4 KiB"\nprecopy_size = "4 KiB"',
        "[migration]\nchannels = 255",
        "[migration]\npacket_size = 64",
        '[limits]\nqueue_total = "1 MiB"\nqueue_per_device = "unlimited"',
        '[migration]\npacket_size = "1 GiB"\n[limits]\nmax_payload = "1025 MiB"',
        '[[device]]\nstate_size = "4 TiB"',
        "[[device]]\ncount = 64",
        '[[device]]\ncount = 2\nkeep = "/tmp/{id}.bin"',
    ],
)
def test_what_is_only_unusual_is_accepted(text: str) -> None:
    loads(text, environ={}, side="source")


def test_several_mistakes_are_told_at_once(wrong: Callable[..., list[str]]) -> None:
    lines = wrong('[limits]\nqueue_total = 1\n[ram]\nsize = 1\n[[device]]\nid = "a"\n[[device]]\nid = "a"')
    assert [line.split(": ")[1] for line in lines] == ["ram.size", "limits.queue_total", "device.1.id"]
