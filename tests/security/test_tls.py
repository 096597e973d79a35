"""Over TLS: a migration end to end, and every way in which a peer is not the one that is meant."""

from __future__ import annotations

import signal
import socket
import ssl
import time
from typing import TYPE_CHECKING

import pytest

from e2e.sides import eventually, migemu
from migemu.link.authority import Authority
from security.incoming import Incoming
from security.scripted import Scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from e2e.sides import Bench, Side


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a pair, and somebody else whom it knows too."""
    made = tmp_path_factory.mktemp("tls")
    authority = Authority()
    authority.write(made)
    authority.issue(made, "server", ["localhost", "127.0.0.1"])
    authority.issue(made, "client", ["migemu-source"])
    authority.issue(made, "second", ["somebody"])
    return made


class Encrypted(Scripted):
    """A scripted source that speaks TLS, with any identity or none."""

    context: ssl.SSLContext

    def dial(self) -> socket.socket:
        made = self.context.wrap_socket(super().dial(), server_hostname="localhost")
        self.others.append(made)
        return made


def context(folder: Path, role: str | None = "client") -> ssl.SSLContext:
    """What such a source trusts and shows."""
    made = ssl.create_default_context(cafile=str(folder / "ca-cert.pem"))
    if role is not None:
        made.load_cert_chain(folder / f"{role}-cert.pem", folder / f"{role}-key.pem")
    return made


@pytest.fixture
def listening(folder: Path) -> Iterator[Incoming]:
    with Incoming(f"tls.dir={folder}", "timeouts.connect=3 s") as destination:
        yield destination


def encrypted(destination: Incoming, with_: ssl.SSLContext) -> Encrypted:
    source = Encrypted(destination.address)
    source.context = with_
    return source


def test_a_migration_runs_encrypted_and_verified(bench: Bench, tmp_path: Path) -> None:
    made = migemu("tls", "init", str(tmp_path / "made"))
    assert made.returncode == 0, made.stderr
    secret = ("--set", f"tls.dir={tmp_path / 'made'}")
    destination, address = bench.destination(*secret)
    source = bench.source(address, *secret)
    assert source.finish() == (0, "")
    assert destination.finish() == (0, "")
    assert [v["ok"] for v in destination.named("verify")] == [True] * 5
    assert destination.last_vm() == (True, True)


def test_keys_are_private_and_not_written_over(tmp_path: Path) -> None:
    assert migemu("tls", "init", str(tmp_path)).returncode == 0
    assert (tmp_path / "server-key.pem").stat().st_mode & 0o777 == 0o600
    again = migemu("tls", "init", str(tmp_path))
    assert again.returncode == 2
    assert "--force" in again.stderr


def other_host(folder: Path) -> None:
    authority = Authority()
    authority.write(folder)
    authority.issue(folder, "server", ["elsewhere.example"])
    authority.issue(folder, "client", ["source"])


def expired(folder: Path) -> None:
    authority = Authority()
    authority.write(folder)
    authority.issue(folder, "server", ["localhost", "127.0.0.1"], days=-1)
    authority.issue(folder, "client", ["source"])


def expired_client(folder: Path) -> None:
    authority = Authority()
    authority.write(folder)
    authority.issue(folder, "server", ["localhost", "127.0.0.1"])
    authority.issue(folder, "client", ["source"], days=-1)


REFUSALS: list[tuple[Callable[[Path], None], str, str]] = [
    (other_host, "IP address mismatch", "handshake"),
    (expired, "certificate has expired", "handshake"),
    (expired_client, "closed by the destination", "certificate has expired"),
]


@pytest.mark.parametrize(("wrong", "source_says", "destination_says"), REFUSALS)
def test_a_certificate_that_does_not_fit_is_refused_by_name(
    bench: Bench, tmp_path: Path, wrong: Callable[[Path], None], source_says: str, destination_says: str
) -> None:
    wrong(tmp_path)
    said = refused(bench, ("--set", f"tls.dir={tmp_path}"), ("--set", f"tls.dir={tmp_path}"))
    assert source_says in said[0]
    assert destination_says in said[1]


def refused(bench: Bench, here: tuple[str, ...], there: tuple[str, ...]) -> tuple[str, str]:
    """What source and destination say when they do not get together; the VM stays on the source."""
    destination, address = bench.destination(*there)
    source = bench.source(address, *here)
    ends = [source.finish()]
    destination.process.send_signal(signal.SIGINT)  # it would wait for another source
    ends.append(destination.finish())
    assert [code for code, _ in ends] == [1, 1]
    assert source.last_vm() == (True, True)
    assert destination.last_vm() == (False, False)
    return ends[0][1], ends[1][1] + reasons(destination)


def reasons(destination: Side) -> str:
    return " ".join(event["reason"] for event in destination.named("connection_refused"))


def test_another_authority_is_not_trusted(bench: Bench, folder: Path, tmp_path: Path) -> None:
    expired_client(tmp_path)
    said = refused(bench, ("--set", f"tls.dir={tmp_path}"), ("--set", f"tls.dir={folder}"))
    assert (
        "unable to get local issuer certificate" in said[0]
        or "self-signed" in said[0]
        or "signature" in said[0]
    )
    assert "may refuse this side's certificate" in said[1]


def test_a_plain_source_is_told_apart_at_a_destination_with_tls(bench: Bench, folder: Path) -> None:
    said = refused(bench, (), ("--set", f"tls.dir={folder}"))
    assert "the peer does not speak TLS" in said[1]


def test_a_source_with_tls_says_that_a_plain_destination_refused_it(bench: Bench, folder: Path) -> None:
    said = refused(bench, ("--set", f"tls.dir={folder}"), ())
    assert "TLS handshake" in said[0]
    assert "speaks TLS" in said[1]


def test_a_source_without_its_certificate_is_refused(listening: Incoming, folder: Path) -> None:
    with encrypted(listening, context(folder, role=None)) as source:
        connection = source.dial()
        assert source.refused(connection)
        assert any("shows no certificate" in reason for reason in listening.refusals())


def test_one_plain_channel_among_encrypted_ones_is_refused(listening: Incoming, folder: Path) -> None:
    with encrypted(listening, context(folder)) as source, Scripted(listening.address) as plain:
        source.connect(("main", 0, 1, 2))
        plain.hello(3)
        assert plain.refused(plain.channels[3])
        assert any("does not speak TLS" in reason for reason in listening.refusals())
        source.connect((3,))
        source.whole()
        assert listening.verdict(source) == "ok"


def test_a_channel_of_another_identity_is_refused_although_it_is_trusted(
    listening: Incoming, folder: Path
) -> None:
    with (
        encrypted(listening, context(folder)) as source,
        encrypted(listening, context(folder, "second")) as other,
    ):
        source.connect(("main", 0, 1, 2))
        other.hello(3)
        assert other.refused(other.channels[3])
        assert any("the channels before it were migemu-source" in reason for reason in listening.refusals())
        source.connect((3,))
        source.whole()
        assert listening.verdict(source) == "ok"


def test_only_the_named_client_is_let_in(folder: Path) -> None:
    with Incoming(f"tls.dir={folder}", "tls.client_name=only-me", "timeouts.connect=1 s") as destination:
        with encrypted(destination, context(folder)) as source:
            source.connect(("main",))
            assert source.main is not None
            assert source.refused(source.main)
        assert any("tls.client_name is only-me" in reason for reason in destination.refusals())


@pytest.mark.parametrize("place", ["main", 2])
def test_a_cut_connection_is_not_taken_for_a_goodbye(
    listening: Incoming, folder: Path, place: int | str
) -> None:
    with encrypted(listening, context(folder)) as source:
        source.connect()
        source.setup()
        source.round()
        victim = source.main if place == "main" else source.channels[int(place)]
        assert victim is not None
        time.sleep(0.2)
        socket.socket.shutdown(victim, socket.SHUT_WR)  # the TCP connection ends, TLS said nothing
        assert eventually(lambda: listening.session.core.abort.error is not None)
        assert "without TLS's goodbye" in str(listening.session.core.abort.error)


def test_a_goodbye_in_the_middle_is_told_apart_from_a_cut(listening: Incoming, folder: Path) -> None:
    with encrypted(listening, context(folder)) as source:
        source.connect()
        source.setup()
        assert isinstance(source.main, ssl.SSLSocket)
        source.main.unwrap()
        assert "the main stream ended" in listening.verdict(source)


def test_a_goodbye_between_packets_is_one(listening: Incoming, folder: Path) -> None:
    with encrypted(listening, context(folder)) as source:
        source.connect()
        source.setup()
        source.round()
        source.switchover()
        source.device()
        channel = source.channels[2]
        assert isinstance(channel, ssl.SSLSocket)
        source.sections()
        source.ending()
        channel.unwrap()
        source.commit()
        assert listening.verdict(source) == "ok"
