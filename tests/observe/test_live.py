from __future__ import annotations

import io
import json
import threading

import pytest
from rich.console import Console

from migemu.observe import bars, lines
from migemu.observe.board import Board
from migemu.observe.boardview import draw
from migemu.observe.events import Event
from migemu.observe.lines import describe
from migemu.observe.live import json_lines, live_view
from migemu.observe.progress import Progress

MIB = 1024**2


def source(t: float, name: str, /, **fields: object) -> Event:
    return Event(t, "source", "migration", name, fields)


def destination(t: float, name: str, /, **fields: object) -> Event:
    return Event(t, "destination", "incoming", name, fields)


def at(t: float, side: str, progress: Progress) -> Event:
    return Event(t, side, "loop", "progress", progress.fields())


def switching_over(devices: int = 2) -> Board:
    """A quarter of each device is in, a quarter is queued, a quarter is on its way."""
    names = [f"0000:00:{number:02x}.0/vfio" for number in range(devices)]
    board = Board()
    board.feed(source(10.0, "migrate_set_state", state="device"))
    for t in (10.0, 11.0):
        sent = Progress(
            ram_sent=64 * MIB,
            ram_pending=MIB,
            ram_size=256 * MIB,
            channels=[int((t - 10) * 100 * MIB), int((t - 10) * 50 * MIB)],
            devices=dict.fromkeys(names, 75 * MIB),
            sizes=dict.fromkeys(names, 100 * MIB),
        )
        board.feed(at(t, "source", sent))
    got = Progress(devices=dict.fromkeys(names, 25 * MIB), queued=dict.fromkeys(names, 25 * MIB))
    board.feed(at(11.0, "destination", got))
    return board


def picture(board: Board, width: int = 80, height: int = 24) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height)
    console.print(draw(board, console, "load-ready"))
    return out.getvalue().splitlines()


def test_progress_survives_its_event() -> None:
    told = Progress(phase="load", ram_sent=5, channels=[1, 2], devices={"d": 3}, cpu=0.5)
    assert Progress.from_fields(told.fields() | {"of a newer version": 1}) == told
    assert set(told.fields()) == {"phase", "ram_sent", "channels", "devices", "cpu"}


def test_rates_come_from_two_words_of_the_same_side() -> None:
    board = switching_over()
    assert board.channel_rates == pytest.approx([40 * MIB, 20 * MIB])  # smoothed: 0.4 of 100 and 50
    assert board.rate == pytest.approx(60 * MIB)
    assert board.elapsed == pytest.approx(1.0)


def test_a_destination_alone_is_watched_by_its_own_counters() -> None:
    board = Board()
    for t, received in ((7.0, 0), (8.0, MIB)):
        board.feed(at(t, "destination", Progress(ram_sent=received, ram_size=8 * MIB, channels=[received])))
    board.feed(destination(8.0, "migrate_set_state", state="active"))
    assert (board.ram_sent, board.channels, board.state) == (MIB, [MIB], "active")
    assert board.ram_size == 8 * MIB
    assert board.rate == pytest.approx(0.4 * MIB)


def test_the_picture_shows_where_each_devices_bytes_are() -> None:
    lines = picture(switching_over())
    assert lines[0].startswith("migemu  load-ready  device")
    assert "64.0 MiB sent, 1.00 MiB dirty" in lines[1]
    row = next(line for line in lines if line.startswith("0000:00:01.0"))
    bar = row.split()[1]
    assert [bar.count(char) for char in "█▓▒·"] == pytest.approx([5, 5, 5, 4], abs=1)
    assert "25.0 MiB" in row


def test_after_the_first_round_all_of_ram_is_there_but_for_what_is_dirty() -> None:
    board = switching_over()  # of 256 MiB 64 were sent, the others are zero
    board.feed(source(11.0, "precopy_round", round=1))
    bar = picture(board)[1].split()[1]
    assert bar.count("█") == len(bar) - 1


@pytest.mark.parametrize("height", [12, 24, 50])
def test_many_devices_never_grow_the_picture_over_the_screen(height: int) -> None:
    lines = picture(switching_over(64), height=height)
    assert len(lines) < height
    assert "more" in lines[-1]
    assert "0 loaded" in lines[-1]


def test_errors_are_in_the_picture_cut_to_one_line() -> None:
    board = switching_over()
    board.feed(destination(11.0, "error", message="channel 3: " + "long " * 50))
    last = picture(board)[-1]
    assert last.startswith("destination: channel 3: long")
    assert len(last) == 80


def test_a_narrow_terminal_keeps_the_devices_names_whole() -> None:
    rows = [line for line in picture(switching_over(), width=60) if line.startswith("0000:00:0")]
    assert [row.split()[0] for row in rows] == ["0000:00:00.0", "0000:00:01.0"]
    assert all("25.0 MiB" in row for row in rows)


def test_no_line_is_wider_than_the_terminal() -> None:
    for width in (60, 80, 100, 200):
        assert max(map(len, picture(switching_over(), width=width))) <= width


def piped(*events: Event) -> list[str]:
    out = io.StringIO()
    with live_view(Console(file=out)) as watch:
        for event in events:
            watch(event)
    return out.getvalue().splitlines()


def test_a_pipe_gets_a_line_for_what_matters_and_none_for_what_does_not() -> None:
    lines = piped(
        source(5.0, "migrate_set_state", state="active"),
        source(5.1, "vfio_save_setup", device="d"),
        source(6.25, "precopy_round", round=1, pages=10, zero=2, bytes=2 * MIB, pending=0),
        destination(7.0, "verify", what="data", device="d", ok=True),
        destination(7.5, "verify", what="ram", ok=False, detail="12 of 64 pages"),
        destination(7.5, "error", message="RAM differs"),
    )
    assert lines == [
        "    0.000 s  source       migration active",
        "    1.250 s  source       RAM round 1: 10 pages, 2 zero, 2.00 MiB, 0 B pending",
        "    2.500 s  destination  ram DIFFERS 12 of 64 pages",
        "    2.500 s  destination  ERROR RAM differs",
    ]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (source(0, "vm_state", running=True, runnable=True), "VM runs, may be run here"),
        (source(0, "vm_state", running=False, runnable=False), "VM stands still, may not be run here"),
        (destination(0, "invariant", name="config-last", ok=True), None),
        (
            destination(0, "invariant", name="config-last", ok=False, device="d", detail="too early"),
            "invariant config-last BROKEN: d too early",
        ),
        (
            destination(0, "vfio_load_bufs_thread_end", device="d", wait=0.001, ready_wait=0.02),
            "d loaded: wait 1.0 ms, ready wait 20.0 ms",
        ),
        (source(0, "precopy_round", round=0, pages=1, zero=0, bytes=0, pending=0), "last pass, VM stopped"),
        (source(0, "events_suppressed", count=1, totals=[]), "1 event counted, not kept"),
        (source(0, "multifd_send_packet", channel=1), None),
    ],
)
def test_an_event_says_what_a_person_can_use(event: Event, text: str | None) -> None:
    told = describe(event)
    assert told is None if text is None else text in (told or "")


def test_a_pipe_gets_one_line_of_progress_a_second() -> None:
    words = [at(t / 10, "source", Progress(ram_sent=t * MIB, ram_pending=0)) for t in range(35)]
    lines = piped(*words)
    assert len(lines) == 3
    assert lines[0] == "    1.000 s  progress     RAM 10.0 MiB sent, 0 B pending, 0 B/s"


def test_a_terminal_is_left_clean_when_the_view_ends() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24)
    with live_view(console) as watch:
        watch(source(0.0, "migrate_set_state", state="active"))
    assert "\x1b[2K" in out.getvalue()  # the picture is erased, the summary takes its place
    assert out.getvalue().count("\x1b[?25h") == 1  # the cursor is back


def test_json_lines_stay_whole_when_threads_speak_at_once() -> None:
    out = io.StringIO()
    write = json_lines(out)
    shout = [source(float(number), "precopy_round", round=number) for number in range(200)]
    threads = [threading.Thread(target=lambda: [write(event) for event in shout]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rounds = [json.loads(line)["round"] for line in out.getvalue().splitlines()]
    assert sorted(rounds) == sorted(list(range(200)) * 4)


@pytest.mark.parametrize(
    ("parts", "width", "cells"),
    [
        ([1, 1], 10, [5, 5]),
        ([1, 999], 10, [1, 9]),
        ([0, 5], 4, [0, 4]),
        ([0, 0], 4, [0, 0]),
        ([1] * 5, 3, [1] * 5),
    ],
)
def test_every_part_of_a_bar_shows(parts: list[float], width: int, cells: list[int]) -> None:
    """Even where that is more than its share; and nothing is drawn for nothing."""
    assert bars.widths(parts, width) == cells


def test_more_channels_than_cells_are_averaged() -> None:
    assert bars.sparks([0, 8, 8, 0], 4) == "▁██▁"
    assert bars.sparks([0, 8] * 100, 10) == "█" * 10
    assert bars.sparks([8] * 3 + [4] * 3, 2) == "█▅"
    assert bars.sparks([], 10) == ""
    assert bars.sparks([0, 4, 8], 10, ascii_only=True) == ".+@"


def test_a_span_lies_in_its_place() -> None:
    assert bars.span(0.5, 0.75, 8, "#") == "    ##"
    assert bars.span(1.0, 1.0, 8, "#") == "       #"


def test_of_a_side_alone_a_line_says_what_it_knows() -> None:
    def told(side: str, progress: Progress) -> str:
        board = Board()
        board.feed(at(0.0, side, progress))
        return lines.progress(board)

    assert told("destination", Progress(ram_size=MIB)) == "nothing has come yet"
    received = Progress(ram_sent=MIB, devices={"d": MIB}, queued={"d": 5})
    assert (
        told("destination", received) == "RAM 1.00 MiB received, 0 B/s, devices 1.00 MiB loaded, 5 B queued"
    )
    sent = Progress(ram_sent=MIB, devices={"d": MIB}, sizes={"d": 2 * MIB})
    assert told("source", sent) == "RAM 1.00 MiB sent, 0 B/s, devices 1.00 MiB of 2.00 MiB saved"


def test_no_device_is_loaded_beyond_its_size() -> None:
    board = Board()
    board.feed(at(0.0, "source", Progress(sizes={"d": MIB})))
    board.feed(at(0.1, "destination", Progress(devices={"d": MIB + 5})))  # what it dirtied came on top
    assert board.sizes == {"d": MIB + 5}
