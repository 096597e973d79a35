"""Order rules on real sockets: what they make impossible ends, with an error on both sides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from e2e.sides import SMALL, migemu

if TYPE_CHECKING:
    from pathlib import Path

TINY = SMALL.replace("8 MiB", "2 MiB").replace("3 MiB", "512 KiB").replace('phase = "3 s"', 'phase = "1 s"')
IDX3 = 'select = { device = "0000:00:01.0", idx = 3 }'


class Outcome(NamedTuple):
    """What came of a run."""

    code: int
    result: dict[str, Any]
    events: list[dict[str, Any]]
    said: str

    def errors(self, side: str) -> str:
        """What this side failed of."""
        told = [e["message"] for e in self.events if e["event"] == "error" and e["side"] == side]
        return "; ".join(told)

    def rules(self) -> dict[str, dict[str, Any]]:
        """What came of each rule."""
        return {e["rule"]: e for e in self.events if e["event"] == "order_rule_ended"}


def run(tmp_path: Path, rules: str, *overrides: str) -> Outcome:
    config, out = tmp_path / "tiny.toml", tmp_path / "out"
    config.write_text(f"{TINY}\n{rules}")
    sets = [word for override in overrides for word in ("--set", override)]
    done = migemu("run", str(config), "--out", str(out), *sets)
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    result = json.loads((out / "result.json").read_text())
    return Outcome(done.returncode, result, events, done.stdout + done.stderr)


IMPOSSIBLE: dict[str, tuple[str, str, str]] = {
    "the source does not connect a channel": (
        'type = "refuse"\nstream = "out"\nselect = { record = "Connect", channel = 1 }',
        "channel 1: order rule x refused the connection",
        "no complete source within timeouts.connect = 4 s",
    ),
    "a connect is never answered": (
        'type = "stall"\nstream = "out"\nselect = { record = "Connect", channel = 1 }',
        "",
        "no complete source within timeouts.connect = 4 s; missing main, multifd 1",
    ),
    "the destination turns a connection away": (
        'type = "refuse"\nselect = { record = "Connect", nth = 2 }',
        "",
        "no complete source within timeouts.connect = 4 s",
    ),
    "a hello says another channel": (
        (
            'type = "corrupt"\nstream = "out"\nselect = { record = "Hello", channel = 1 }\n'
            'attributes = { field = "channel", value = 2 }'
        ),
        "",
        "no complete source within timeouts.connect = 4 s",
    ),
    "a channel is reset": (
        f'type = "close"\nstream = "out"\n{IDX3}\nattributes = {{ how = "reset" }}',
        "",
        "connection failed",
    ),
    "a channel ends inside a packet": (
        f'type = "truncate"\nstream = "out"\n{IDX3}\nattributes = {{ bytes = 1000 }}',
        "the stream ended inside a DEVICE_STATE packet's data",
        "the stream ended inside a DEVICE_STATE packet's data",
    ),
    "a channel ends inside a packet, at the destination": (
        f'type = "truncate"\n{IDX3}\nattributes = {{ bytes = 1000 }}',
        "the stream ended inside a DEVICE_STATE packet's data",
        "the stream ended inside a DEVICE_STATE packet's data",
    ),
    "the source closes its half of a channel": (
        f'type = "close"\nstream = "out"\n{IDX3}\nattributes = {{ how = "half" }}',
        "",
        "",
    ),
    "the main channel is reset": (
        'type = "close"\nselect = { command = "SWITCHOVER_START" }\nattributes = { how = "reset" }',
        "main channel: connection failed",
        "order rule x reset the connection",
    ),
    "the main channel is closed": (
        'type = "close"\nselect = { command = "SWITCHOVER_START" }',
        "main channel",
        "main channel: the main stream ended",
    ),
    "the main channel stands still": (
        'type = "stall"\nselect = { command = "SWITCHOVER_START" }',
        "",
        "nothing moved for 1 s",
    ),
    "a channel stands still": (
        'type = "stall"\nselect = { channel = 1, flag = "data" }',
        "",
        "within",
    ),
    "the destination's word that it has loaded is lost": (
        'type = "drop"\nstream = "return"\nselect = { message = "LOADED" }',
        "",
        "",
    ),
    "the source's word that it gives up the VM is lost": (
        'type = "drop"\nselect = { command = "START" }',
        "",
        "nothing moved for 1 s",
    ),
    "a rule asks for a field that is not there": (
        f'type = "corrupt"\n{IDX3}\nattributes = {{ field = "idy" }}',
        "order rule x: DevicePacket has no field idy",
        "order rule x: DevicePacket has no field idy",
    ),
}
"""By story: the rule, and what the source and the destination then say at least."""
NO_MARKS = ["handoff=load-thread", "platform.needs_interrupt_controller=false"]
"""Nobody waits for a mark while another thread waits for its buffer: both would be over at once."""


@pytest.mark.parametrize("story", IMPOSSIBLE)
def test_an_impossible_migration_ends_with_an_error_on_both_sides(tmp_path: Path, story: str) -> None:
    rule, source, destination = IMPOSSIBLE[story]
    soon = ["timeouts.connect=4 s"] if "timeouts.connect" in destination else []
    soon += NO_MARKS if story == "a channel stands still" else []
    outcome = run(tmp_path, f'[[order]]\nname = "x"\n{rule}\n', *soon)
    assert outcome.code in (1, 2), outcome.said
    assert source in outcome.errors("source") != ""
    told = outcome.errors("destination")
    assert destination in told != ""
    assert outcome.rules()["x"]["fired"] or "order rule x" in outcome.errors("destination")
    assert outcome.result["runnable"] in ("source", "none")
    assert next(e for e in outcome.result["invariants"] if e["name"] == "ends")["ok"]
    assert "Traceback" not in outcome.said


HARMLESS: dict[str, str] = {
    "a channel connects late": (
        'type = "delay"\nstream = "out"\nselect = { record = "Connect", channel = 1 }\n'
        'attributes = { latency = "300 ms" }'
    ),
    "a hello comes in two pieces": (
        'type = "slice"\nstream = "out"\nselect = { record = "Hello", channel = 1 }\n'
        'attributes = { at = 20, pause = "300 ms" }'
    ),
    "records come byte by byte": (
        'type = "slice"\nstream = "out"\nselect = { channel = "main", record = "SectionStart" }'
    ),
    "one device's data waits until all of the other's is sent": (
        'type = "hold"\nstream = "out"\nselect = { device = "0000:00:01.0", idx = 0 }\n[order.attributes]\n'
        'until = { event = "vfio_save_complete_precopy_thread_end", device = "0000:00:02.0" }'
    ),
    "the goodbye comes late": (
        'type = "delay"\nstream = "return"\nselect = { message = "SHUT" }\n'
        'attributes = { latency = "700 ms" }'
    ),
    "a packet takes another channel": (
        'type = "move"\nstream = "out"\nselect = { device = "0000:00:01.0" }\nattributes = { to = 2 }'
    ),
    "a second connection claims a channel": (
        'type = "duplicate"\nstream = "out"\nselect = { record = "Connect", channel = 1 }'
    ),
    "half of all packets come late": (
        'type = "delay"\ntoxicity = 0.5\nselect = { channel = "multifd" }\n'
        'attributes = { latency = "5 ms", jitter = "5 ms" }'
    ),
}


@pytest.mark.parametrize("story", HARMLESS)
def test_what_only_takes_time_ends_verified(tmp_path: Path, story: str) -> None:
    outcome = run(tmp_path, f'[[order]]\nname = "x"\nrequired = true\n{HARMLESS[story]}\n')
    assert outcome.code == 0, outcome.said
    assert outcome.rules()["x"]["ok"]
    assert outcome.result["verdict"] == "completed"
    assert all(item["ok"] for item in outcome.result["verification"])


def test_a_required_rule_that_never_fires_fails_a_run_that_went_well(tmp_path: Path) -> None:
    for stream, side in (("in", "destination"), ("out", "source")):
        rule = f'[[order]]\nname = "x"\ntype = "drop"\nstream = "{stream}"\nselect = {{ record = "Tail" }}\n'
        assert run(tmp_path, rule).code == 0
        outcome = run(tmp_path, rule.replace('"drop"', '"drop"\nrequired = true'))
        assert outcome.code == 1
        assert outcome.errors(side) == f"{side}: order rule x (drop) never fired"
        assert outcome.result["runnable"] == "destination"  # it went well, only not as was asked


def test_a_required_wait_that_is_in_vain_fails_the_run(tmp_path: Path) -> None:
    rule = '[[order]]\nname = "x"\ntype = "hold"\nrequired = true\nselect = { flag = "config" }\n'
    rule += 'attributes = { until = { event = "vfio_load_device_config_state_end" } }\n'
    outcome = run(tmp_path, rule)
    assert outcome.code == 1
    assert "what order rule x (hold) waited for did not come in time" in outcome.errors("destination")
    assert any(event["event"] == "order_rule_expired" for event in outcome.events)


def test_the_same_seed_acts_on_the_same_packets(tmp_path: Path) -> None:
    rule = (
        '[[order]]\nname = "x"\ntype = "delay"\ntoxicity = 0.4\nselect = { flag = "data" }\n'
        'attributes = { latency = "1 ms" }\n'
    )
    chosen = []
    for seed in (1, 1, 2):
        outcome = run(tmp_path, rule, f"seed={seed}")
        fired = [e for e in outcome.events if e["event"] == "order_rule_fired"]
        chosen.append(sorted((e["device"], e["idx"]) for e in fired))
    assert chosen[0] == chosen[1] != chosen[2]


def test_rules_and_recordings_are_refused_where_there_is_no_wire(tmp_path: Path) -> None:
    config = tmp_path / "x.toml"
    config.write_text(f'{TINY}\n[[order]]\ntype = "drop"\n')
    done = migemu("run", str(config), "--virtual")
    assert (done.returncode, "order rules act on real connections" in done.stderr) == (2, True)
