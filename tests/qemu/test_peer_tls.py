"""TLS with a real QEMU at the other end: its own credentials object, our folder of certificates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from migemu.link.authority import Authority
from migemu.observe.recorder import Recorder
from migemu.qemu.drive import make_target
from migemu.qemu.memory import SharedRam
from migemu.qemu.peer_bare import bare
from migemu.qemu.tap import tapped
from migemu.qemu.tap_watch import Watch
from peering.bench import ALL, finish, qemu, receiving, scenario
from peering.driving import drive

if TYPE_CHECKING:
    from peering.bench import Received

pytestmark = pytest.mark.qemu


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority = Authority()
    authority.write(folder)
    authority.issue(folder, "server", ["localhost", "127.0.0.1"])
    authority.issue(folder, "client", ["migemu-source"])
    return folder


def credentials(folder: Path, endpoint: str) -> tuple[str, str]:
    """QEMU's option for those certificates."""
    return "-object", f"tls-creds-x509,id=tls0,dir={folder},endpoint={endpoint},verify-peer=yes"


def encrypted(folder: Path) -> str:
    return f'[tls]\ndir = "{folder}"'


async def receive(
    major: int, folder: Path, certificates: Path, channels: int, through: Any = None
) -> Received:
    """A QEMU without devices migrates to us over TLS."""
    asked = scenario("10.0", channels=max(channels, 1), memory=encrypted(certificates))
    words = credentials(certificates, "client")
    secured: dict[str, Any] = {"parameters": {"tls_creds": "tls0", "tls_hostname": "localhost"}}
    with SharedRam(4 << 20, "ram0") as ram:
        ram.fill(3)
        recorder = Recorder("destination", asked)
        wishes = {"peer": "qemu", "verify_ram": Path(f"/proc/self/fd/{ram.fd}")}
        async with (
            bare(qemu(major), folder, ram, "source", *words, channels=channels, **secured) as source,
            receiving(recorder, wishes) as listening,
        ):
            address = "" if through is None else through(listening.session.address)
            return await finish(source, listening, recorder, address)


@pytest.mark.parametrize(("major", "channels"), [(7, 4), (10, 0), (10, 4), (11, 16)])
async def test_a_qemu_migrates_to_us(tmp_path: Path, certificates: Path, major: int, channels: int) -> None:
    got = await receive(major, tmp_path, certificates, channels)
    assert (got.error, got.status, got.verified()) == (None, "completed", {"ram": True})


@pytest.mark.parametrize("major", [7, 10, 11] if ALL else [10])
@pytest.mark.parametrize("channels", [0, 4])
async def test_we_migrate_to_a_qemu(tmp_path: Path, certificates: Path, major: int, channels: int) -> None:
    asked = scenario("11.1", handoff="load-ready", channels=max(channels, 1), memory=encrypted(certificates))
    target = make_target("none", "7.2" if major == 7 else None, None, multifd=bool(channels))
    words, parameters = credentials(certificates, "server"), {"tls_creds": "tls0"}
    with SharedRam(8 << 20, "ram0") as ram:
        async with bare(
            qemu(major), tmp_path, ram, "destination", *words, channels=channels, parameters=parameters
        ) as machine:
            got = await drive(machine, asked, target, ram)
    assert (got.error, got.status, got.ram()) == (None, "completed", True)


async def test_a_source_without_a_certificate_is_refused(tmp_path: Path, certificates: Path) -> None:
    """A QEMU that trusts our authority but shows nothing of itself."""
    nobody = tmp_path / "nobody"
    nobody.mkdir()
    (nobody / "ca-cert.pem").write_bytes((certificates / "ca-cert.pem").read_bytes())
    asked = scenario("10.0", memory=encrypted(certificates))
    words = credentials(nobody, "client")
    with SharedRam(4 << 20, "ram0") as ram:
        recorder = Recorder("destination", asked)
        async with (
            bare(
                qemu(10),
                tmp_path,
                ram,
                "source",
                *words,
                parameters={"tls_creds": "tls0", "tls_hostname": "localhost"},
            ) as source,
            receiving(recorder, {"peer": "qemu"}) as listening,
        ):
            got = await finish(source, listening, recorder)
    assert got.status == "failed"
    refused = [told["reason"] for told in got.events("connection_refused")]
    assert any("shows no certificate" in reason for reason in refused)


async def test_a_tap_passes_on_what_it_cannot_read(tmp_path: Path, certificates: Path) -> None:
    watch, taps = Watch(), []

    def through(address: str) -> str:
        taps.append(tapped(address, watch))
        return taps[0].__enter__().listen().removeprefix("tcp:")

    try:
        got = await receive(10, tmp_path, certificates, 2, through)
    finally:
        taps[0].__exit__(None, None, None)
    assert (got.error, got.status, got.verified()) == (None, "completed", {"ram": True})
    assert len(watch.unseen) == 3  # the main channel and two more, each encrypted from its first byte
    assert not watch.packets
