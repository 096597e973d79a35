"""The paced link: never faster than it should be, and not slower either when sleepers wake late."""

from __future__ import annotations

import socket
import struct
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migemu.errors import ConfigError
from migemu.link.pacing import SLACK, SO_MAX_PACING_RATE, Pacer, Slot, set_max_pacing_rate

MB = 10**6
TRAFFIC = st.lists(
    st.tuples(st.floats(0, 0.1), st.integers(0, 4 * MB), st.integers(0, 3)), min_size=1, max_size=40
)


def test_a_packet_takes_as_long_as_its_bytes() -> None:
    pacer = Pacer(rate=100 * MB)
    assert pacer.delay(10.0, 50 * MB) == pytest.approx(0.5)


def test_packets_queue_behind_each_other() -> None:
    pacer = Pacer(rate=100 * MB)
    assert [pacer.delay(0.0, 10 * MB) for _ in range(3)] == pytest.approx([0.1, 0.2, 0.3])
    assert pacer.delay(0.25, 10 * MB) == pytest.approx(0.15)


def test_without_a_rate_nothing_waits() -> None:
    pacer = Pacer(rate=None)
    assert [pacer.delay(float(now), 1 << 40) for now in range(5)] == [0.0] * 5


def test_channels_share_the_link_and_keep_their_own_ceiling() -> None:
    def seconds(channels: int) -> float:
        pacer = Pacer(rate=100 * MB, per_channel=30 * MB)
        return max(pacer.delay(0.0, MB, channel) for _ in range(30) for channel in range(channels))

    assert seconds(1) == pytest.approx(1.0)  # 30 MB at the channel's 30 MB/s
    assert seconds(3) == pytest.approx(1.0)  # 90 MB at 3 x 30
    assert seconds(10) == pytest.approx(3.0)  # 300 MB at the link's 100


def test_a_channel_at_its_ceiling_holds_no_other_up() -> None:
    pacer = Pacer(rate=100 * MB, per_channel=10 * MB)
    assert pacer.delay(0.0, 10 * MB, channel=0) == pytest.approx(1.0)
    assert pacer.delay(0.0, MB, channel=1) == pytest.approx(0.11)  # behind channel 0 on the link alone


def test_delay_is_latency_and_takes_no_throughput() -> None:
    pacer = Pacer(rate=100 * MB, delay=0.05)
    assert pacer.slot(0.0, 10 * MB) == pytest.approx(Slot(sent=0.1, arrived=0.15))
    assert pacer.slot(0.1, 10 * MB).sent == pytest.approx(0.2)


@settings(deadline=None)
@given(TRAFFIC)
def test_the_link_never_carries_more_than_its_rate(traffic: list[tuple[float, int, int]]) -> None:
    rate, per_channel = 50 * MB, 20 * MB
    pacer = Pacer(rate, per_channel)
    now = 0.0
    through: list[tuple[float, int, int]] = []
    for pause, size, channel in traffic:
        now += pause
        sent = pacer.slot(now, size, channel).sent
        assert sent >= now
        through.append((sent, size, channel))
        for ceiling, names in ((rate, range(4)), (per_channel, [channel])):
            carried = sum(size for at, size, name in through if at <= sent and name in names)
            assert carried <= ceiling * (sent + SLACK) * (1 + 1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(0, SLACK * 0.99), min_size=50, max_size=50))
def test_a_sleeper_that_wakes_late_loses_no_bandwidth(lateness: list[float]) -> None:
    pacer = Pacer(rate=100 * MB)
    now = 0.0
    for late in lateness:
        now += pacer.delay(now, MB) + late
    assert now - lateness[-1] <= len(lateness) * 0.01 + SLACK


def test_a_pause_earns_no_burst() -> None:
    pacer = Pacer(rate=100 * MB)
    pacer.delay(0.0, MB)
    waits = [pacer.delay(60.0, MB) for _ in range(10)]
    assert waits[-1] == pytest.approx(0.1 - SLACK)


@pytest.mark.parametrize(("rate", "per_channel", "delay"), [(0, None, 0), (None, -1, 0), (None, None, -0.1)])
def test_impossible_links_are_refused(rate: float | None, per_channel: float | None, delay: float) -> None:
    with pytest.raises(ConfigError):
        Pacer(rate, per_channel, delay)


def kernel_rate(sock: socket.socket) -> int:
    (rate,) = struct.unpack("=Q", sock.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 8))
    assert isinstance(rate, int)
    return rate


@pytest.mark.skipif(sys.platform != "linux", reason="the option is Linux's")
def test_the_kernel_is_told_the_ceiling_of_a_channel() -> None:
    with socket.socket() as sock:
        for rate in (187_500_000.0, 12_500_000_000.0):  # 1.5 Gbit/s, and 100 Gbit/s, over 32 bits
            set_max_pacing_rate(sock, rate)
            assert kernel_rate(sock) == rate
        set_max_pacing_rate(sock, None)
        assert kernel_rate(sock) == (1 << 64) - 1
        with pytest.raises(ConfigError, match=r"cannot be paced at 0.5 bytes/s"):
            set_max_pacing_rate(sock, 0.5)


@pytest.mark.skipif(sys.platform != "linux", reason="the option is Linux's")
def test_a_socket_that_cannot_be_paced_is_a_clear_error() -> None:
    sock = socket.socket()
    sock.close()
    with pytest.raises(ConfigError, match="cannot be paced: Bad file descriptor"):
        set_max_pacing_rate(sock, 1e6)
