"""Virtual runs beside real sockets, where device models dominate, as Markdown.

.venv/bin/python benchmarks/virtual_vs_real.py --runs 5
"""

from __future__ import annotations

import argparse
import statistics

from migemu.cli.run import migrate_pair
from migemu.lab.virtual import run_virtual
from migemu.observe.recorder import make_result
from migemu.scenario import Scenario, loads

SCENARIO = """
name = "virtual-vs-real"
handoff = "load-thread"
[platform]
needs_interrupt_controller = false
interrupt_controller_load_time = "0 ms"
[ram]
size = "16 MiB"
working_set = "1 MiB"
[migration]
packet_size = "256 KiB"
[[device]]
state_size = "16 MiB"
config_size = "4 KiB"
write_rate = "50 MB/s"
config_load_time = "40 ms"
transition_times = { STOP = "10 ms", STOP_COPY = "20 ms", RUNNING = "10 ms" }
"""


def real(scenario: Scenario) -> float:
    """Milliseconds of downtime between two processes."""
    told = migrate_pair(scenario, lambda _event: None)
    downtime = make_result(scenario, told.events, told.end).times.downtime
    assert downtime is not None, told.end.reasons
    return downtime * 1000


def virtual(scenario: Scenario) -> float:
    """Milliseconds of downtime in virtual time."""
    downtime = run_virtual(scenario).result.times.downtime
    assert downtime is not None
    return downtime * 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--devices", default="1,2,4,8")
    parser.add_argument("--channels", default="1,2,4,8")
    asked = parser.parse_args()
    print("| devices | channels | real, median | virtual | deviation |\n| --- | --- | --- | --- | --- |")
    for devices in asked.devices.split(","):
        for channels in asked.channels.split(","):
            overrides = (f"devices={devices}", f"channels={channels}")
            scenario = loads(SCENARIO, overrides=overrides, environ={})
            median = statistics.median(real(scenario) for _ in range(asked.runs))
            modelled = virtual(scenario)
            print(
                f"| {devices} | {channels} | {median:.0f} ms | {modelled:.0f} ms | "
                f"{modelled / median - 1:+.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
