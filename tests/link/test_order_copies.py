"""drop, duplicate, move: how often a packet is delivered, and where."""

from __future__ import annotations

from link.order_bench import Bench, config, data, main, ram, section, sync


def test_a_dropped_packet_never_comes_and_the_sender_does_not_wait_for_it() -> None:
    bench = Bench('[[order]]\ntype = "drop"\nselect = { device = "a", idx = "1-2" }\n')
    settled: list[int] = []
    bench.come(*(data("a", idx, settle=lambda idx=idx: settled.append(idx)) for idx in range(5)))
    assert bench.said(0) == "a0 a3 a4"
    assert settled == [0, 1, 2, 3, 4]


def test_nth_counts_what_fits_all_the_rest() -> None:
    bench = Bench('[[order]]\ntype = "drop"\nselect = { flag = "sync", channel = 1, nth = "2-" }\n')
    bench.come(sync(0), ram("x", 1), sync(1), sync(0), sync(1), sync(1))
    assert bench.everything() == "S x S S"


def test_a_dropped_section_goes_with_its_body_and_footer() -> None:
    bench = Bench('[[order]]\ntype = "drop"\nselect = { record = "SectionFull", section = "x*" }\n')
    bench.come(*section("x1", "1", "2"), *section("y", "3"), *section("x2"), main("Eof"))
    assert bench.said("main") == "<y 3 > Eof"


def test_a_word_of_a_section_can_be_dropped_by_itself() -> None:
    bench = Bench('[[order]]\ntype = "drop"\nselect = { flag = "flush", within = "SectionEnd" }\n')
    part = main("RamFlush", section="ram", within="SectionPart", flags="flush")
    last = main("RamFlush", section="ram", within="SectionEnd", flags="flush")
    eos = main("RamEos", section="ram", within="SectionEnd", flags="eos")
    bench.come(part, last, eos)
    assert bench.said("main") == "RamFlush RamEos"


def test_a_duplicate_follows_at_once_and_later_rules_may_act_on_it() -> None:
    bench = Bench(
        '[[order]]\ntype = "duplicate"\nselect = { idx = 0 }\nattributes = { copies = 2 }\n'
        '[[order]]\ntype = "after"\nselect = { idx = 0, nth = 3 }\nattributes = { packet = { idx = 2 } }\n'
    )
    bench.come(data("a", 0), data("a", 1), data("a", 2))
    assert bench.said(0) == "a0 a0 a1 a2 a0"


def test_a_section_is_duplicated_as_a_whole() -> None:
    bench = Bench('[[order]]\ntype = "duplicate"\nselect = { record = "SectionFull" }\n')
    bench.come(*section("x", "1"), main("Eof"))
    assert bench.said("main") == "<x 1 > <x 1 > Eof"


def test_a_packet_may_travel_on_another_channel() -> None:
    bench = Bench('[[order]]\ntype = "move"\nselect = { device = "a" }\nattributes = { to = 1 }\n')
    bench.lane(1)
    bench.come(data("a", 0, 0), data("b", 0, 0), data("a", 1, 1))
    assert (bench.said(0), bench.said(1)) == ("b0", "a0 a1")


def test_a_channel_that_is_not_there_leaves_the_packet_where_it_was() -> None:
    bench = Bench('[[order]]\ntype = "move"\nattributes = { to = 3 }\n')
    bench.come(data("a", 0))
    assert bench.said(0) == "a0"


def test_part_of_the_packets_is_chosen_by_the_seed_whatever_channel_they_take() -> None:
    text = '[[order]]\ntype = "drop"\ntoxicity = 0.5\nselect = { device = "a" }\n'
    left = []
    for seed, channel in ((1, 0), (1, 2), (2, 0)):
        bench = Bench(text, seed=seed)
        bench.come(*(data("a", idx, channel) for idx in range(64)), config("b", 0, channel))
        left.append(bench.said(channel))
    assert left[0] == left[1] != left[2]
    assert 16 < len(left[0].split()) < 48
