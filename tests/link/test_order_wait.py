"""hold, delay, stall; after, before, sequence: who waits for what, and what overtakes it meanwhile."""

from __future__ import annotations

from link.order_bench import Bench, config, data, main, ram, section, sync


def test_a_held_packet_holds_up_its_connection_and_no_other() -> None:
    bench = Bench(
        '[[order]]\ntype = "hold"\nselect = { device = "a", idx = 0 }\n'
        'attributes = { until = { command = "SWITCHOVER_START" } }\n'
    )
    bench.come(data("a", 0), data("a", 1), data("a", 2, channel=1))
    assert bench.everything() == "a2"
    bench.come(main("Command", "SWITCHOVER_START"))
    assert bench.everything() == "a2 SWITCHOVER_START a0 a1"


def test_what_is_waited_for_may_have_come_before() -> None:
    bench = Bench(
        '[[order]]\ntype = "hold"\nselect = { flag = "config" }\n'
        'attributes = { until = { command = "PING" } }\n'
    )
    bench.come(main("Command", "PING"), config("a", 3))
    assert bench.said(0) == "aC"


def test_a_hold_until_an_event_looks_at_the_events_fields() -> None:
    bench = Bench(
        '[[order]]\ntype = "hold"\nselect = { idx = 1 }\n'
        'attributes = { until = { event = "verify", device = "b", where = "what=data, ok=true", nth = 2 } }\n'
    )
    assert bench.orders.names == {"verify"}
    bench.come(data("a", 1))
    right: dict[str, object] = {"device": "b/vfio", "what": "data", "ok": True}
    for fields in ({**right, "device": "a/vfio"}, {**right, "ok": False}, right):
        bench.orders.event("verify", fields)
    assert bench.said(0) == ""
    bench.orders.event("verify", right)
    assert bench.said(0) == "a1"


def test_a_hold_ends_when_its_time_is_up_and_says_so() -> None:
    bench = Bench(
        '[[order]]\nname = "never"\ntype = "hold"\nrequired = true\nselect = { idx = 1 }\n'
        'attributes = { until = { event = "x" } }\n'
    )
    bench.come(data("a", 1), data("a", 2))
    bench.clock.pass_by(4.9)
    assert bench.said(0) == ""
    bench.clock.pass_by(0.2)  # half of the side's patience, 10 s
    assert bench.said(0) == "a1 a2"
    assert bench.named("order_rule_expired") == [{"rule": "never", "seconds": 5.0}]
    error = bench.orders.finish()
    assert "never" in str(error)
    assert "did not come in time" in str(error)


def test_a_delay_takes_its_time_and_as_much_jitter_as_the_seed_says() -> None:
    text = '[[order]]\ntype = "delay"\nattributes = { latency = "1 s", jitter = "1 s" }\n'
    arrivals = []
    for seed in (1, 1, 2):
        bench = Bench(text, seed=seed)
        bench.come(data("a", 0))
        while not bench.said(0):
            bench.clock.pass_by(0.001)
        arrivals.append(round(bench.clock.now, 2))
    assert min(arrivals) >= 1
    assert max(arrivals) <= 2.01
    assert arrivals[0] == arrivals[1] != arrivals[2]


def test_a_packet_behind_a_delayed_one_is_not_late_twice() -> None:
    bench = Bench('[[order]]\ntype = "delay"\nselect = { channel = 0 }\nattributes = { latency = "1 s" }\n')
    bench.come(data("a", 0), data("b", 0, channel=1))
    bench.clock.pass_by(0.5)
    bench.come(data("a", 1))
    bench.clock.pass_by(0.6)
    assert bench.everything() == "b0 a0"
    bench.clock.pass_by(0.5)
    assert bench.everything() == "b0 a0 a1"


def test_after_steps_out_of_the_line_and_in_right_behind_the_other() -> None:
    bench = Bench(
        '[[order]]\ntype = "after"\nselect = { flag = "data", device = "a" }\n'
        'attributes = { packet = { flag = "config", device = "a" } }\n'
    )
    bench.come(data("a", 0), ram("r"), config("a", 2), data("b", 0), data("a", 1))
    assert bench.said(0) == "r aC a0 b0 a1"


def test_after_works_across_connections() -> None:
    bench = Bench(
        '[[order]]\ntype = "after"\nselect = { flag = "sync", channel = 0 }\n'
        'attributes = { packet = { flag = "ram", channel = 1 } }\n'
    )
    bench.come(sync(0), ram("x", 0), ram("y", 1), ram("z", 0))
    assert bench.everything() == "x y S z"


def test_before_makes_the_other_packet_wait() -> None:
    bench = Bench(
        '[[order]]\nname = "first"\ntype = "before"\nselect = { idx = 5 }\n'
        "attributes = { packet = { idx = 0 } }\n"
    )
    bench.come(data("a", 0), data("a", 1), data("a", 5), data("a", 6))
    assert bench.said(0) == "a1 a5 a0 a6"
    assert bench.named("order_rule_fired")[0]["idx"] == 0


def test_a_sequence_orders_its_packets_and_leaves_the_rest_alone() -> None:
    bench = Bench(
        '[[order]]\ntype = "sequence"\nattributes = { order = [\n'
        '{ device = "b", idx = 1 }, { device = "a", idx = 0 }, '
        '{ command = "PING" }, { device = "a", idx = 2 } ] }\n'
    )
    bench.come(data("a", 2), data("a", 0, 1), main("Command", "PING"), main("Eof"), data("b", 1, 1), ram("r"))
    assert bench.everything() == "Eof b1 a0 PING a2 r"


def test_a_sequence_is_not_jammed_by_a_packet_that_is_dropped() -> None:
    bench = Bench(
        '[[order]]\ntype = "sequence"\nattributes = { order = [ { idx = 1 }, { idx = 0 } ] }\n'
        '[[order]]\ntype = "drop"\nselect = { idx = 1 }\n'
    )
    bench.come(data("a", 0), data("a", 1))
    assert bench.said(0) == "a0"


def test_what_does_not_fit_aside_waits_in_the_line() -> None:
    bench = Bench(
        '[[order]]\ntype = "after"\nselect = { device = "a" }\n'
        'attributes = { packet = { flag = "sync" }, timeout = "1 s" }\n',
        room=4,
    )
    bench.come(data("a", 0), data("a", 1), data("a", 2), data("b", 0), sync())
    assert bench.said(0) == ""
    bench.clock.pass_by(1)
    assert bench.said(0) == "a0 a1 a2 b0 S"


def test_a_section_waits_aside_as_a_whole() -> None:
    bench = Bench(
        '[[order]]\ntype = "after"\nselect = { record = "SectionFull", section = "x" }\n'
        'attributes = { packet = { record = "SectionFull", section = "y" } }\n'
    )
    bench.come(*section("x", "1", "2"), *section("y", "3"), main("Eof"))
    assert bench.said("main") == "<y 3 > <x 1 2 > Eof"


def test_what_steps_in_does_not_step_into_a_section() -> None:
    bench = Bench(
        '[[order]]\ntype = "after"\nselect = { command = "PING" }\n'
        'attributes = { packet = { event = "now" } }\n'
    )
    head, body, foot = section("x", "1")
    bench.come(main("Command", "PING"), head, body)
    bench.orders.event("now", {})
    bench.come(foot, main("Eof"))
    assert bench.said("main") == "<x 1 > PING Eof"


def test_a_stalled_connection_passes_nothing_more_and_is_closed_when_asked() -> None:
    bench = Bench(
        '[[order]]\nname = "deaf"\ntype = "stall"\nselect = { idx = 1 }\nattributes = { timeout = "3 s" }\n'
    )
    bench.come(data("a", 0), data("a", 1), data("a", 2))
    bench.clock.pass_by(2.9)
    assert bench.said(0) == "a0"
    assert bench.lane(0).bytes == 4
    bench.clock.pass_by(0.2)
    assert bench.sinks[0].ended == ["whole by deaf"]
    assert bench.said(0) == "a0"


def test_two_rules_may_act_on_one_packet_after_each_other() -> None:
    bench = Bench(
        '[[order]]\ntype = "after"\nselect = { idx = 0 }\nattributes = { packet = { idx = 1 } }\n'
        '[[order]]\ntype = "delay"\nselect = { idx = 0 }\nattributes = { latency = "1 s" }\n'
    )
    bench.come(data("a", 0), data("a", 1), data("a", 2))
    assert bench.said(0) == "a1 a2"  # what waits aside holds up nobody, whatever it waits for
    bench.clock.pass_by(1)
    assert bench.said(0) == "a1 a2 a0"


def test_a_rule_may_wait_for_another_rule() -> None:
    bench = Bench(
        '[[order]]\nname = "lost"\ntype = "drop"\nselect = { idx = 3 }\n'
        '[[order]]\ntype = "hold"\nselect = { flag = "sync" }\nattributes = { until = { rule = "lost" } }\n'
    )
    bench.come(sync(1), data("a", 2), data("a", 3))
    assert bench.everything() == "a2 S"
