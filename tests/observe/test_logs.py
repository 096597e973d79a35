from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
import structlog

from migemu.observe import logs
from migemu.observe.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_a_pipe_gets_one_json_object_a_line_bound_with_its_place() -> None:
    out = io.StringIO()
    logs.configure("info", out)
    log = logs.get("destination", channel=3)
    log.warning("connection refused", reason=ValueError("bad magic"))
    log.info("again")
    first, second = map(json.loads, out.getvalue().splitlines())
    place = {"side": "destination", "channel": 3}
    assert first | place == first
    assert (first["event"], first["level"], first["reason"]) == ("connection refused", "warning", "bad magic")
    assert second["event"] == "again"


def test_an_exception_stays_one_line_of_json() -> None:
    out = io.StringIO()
    logs.configure("info", out)
    try:
        int("boom")
    except ValueError:
        logs.get("source").exception("thread failed")
    (line,) = out.getvalue().splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_a_terminal_gets_a_coloured_line_and_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = Terminal(), Terminal()
    logs.configure("info", coloured)
    logs.get("source", device="0000:00:01.0").info("hello")
    monkeypatch.setenv("NO_COLOR", "1")
    logs.configure("info", plain)
    logs.get("source", device="0000:00:01.0").info("hello")
    assert "\x1b[" in coloured.getvalue()
    assert "\x1b[" not in plain.getvalue()
    assert "device=0000:00:01.0" in plain.getvalue()


@pytest.mark.parametrize(("level", "said"), [("debug", 2), ("warning", 1), ("error", 0)])
def test_the_level_is_the_least_that_is_said(level: str, said: int) -> None:
    out = io.StringIO()
    logs.configure(level, out)
    logs.get("source").debug("a")
    logs.get("source").warning("b")
    assert len(out.getvalue().splitlines()) == said


def test_what_a_side_does_is_logged_with_its_place() -> None:
    stream = io.StringIO()
    logs.configure("info", stream)
    assert logs.wanted()
    tell = logs.of_events("destination")
    tell(Event(1.0, "destination", "MainThread", "error", {"message": "lost", "channel": 3, "device": "vf0"}))
    tell(Event(1.0, "destination", "load", "vfio_load_state_device_buffer_starved", {"idx": 1}))
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert [said[key] for key in ("side", "channel", "device", "level")] == ["destination", 3, "vf0", "error"]
    logs.configure("warning", stream)
    assert not logs.wanted()
