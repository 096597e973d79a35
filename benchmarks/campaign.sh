#!/usr/bin/env bash
# A campaign over a LocalCluster that loses a worker half-way, and the same one on local processes: their
# reports must be the same to the byte. Usage: campaign.sh DIR [SCHEDULES] [PLAN ARGUMENTS...]
#
#   benchmarks/campaign.sh /tmp/campaign 1000000                 production's destination, the stock scenario
#   benchmarks/campaign.sh /tmp/campaign 20000 --bug B1          a destination that fails
set -euo pipefail
cd "$(dirname "$0")/.."
migemu=.venv/bin/migemu
out=${1:?a folder for the results}
schedules=${2:-1000000}
shift $(($# < 2 ? $# : 2))
what=("$@")
[ $# -gt 0 ] || what=(migemu/lab/small.toml)
mkdir -p "$out"
rm -rf "$out/dask" "$out/local"
$migemu campaign plan "${what[@]}" --schedules "$schedules" > "$out/campaign.json"

finished() { find "$out/dask" -name 'shard-*' 2> /dev/null | sed 's/.*-0*\([1-9][0-9]*\)\.json/\1/' | awk '{n += $1} END {print n + 0}'; }
children() { # PIDS...: they and all below them
    local pid
    for pid; do
        echo "$pid"
        # shellcheck disable=SC2046  # one word a process
        children $(ps -o pid= --ppid "$pid")
    done
}

began=$SECONDS
$migemu campaign run "$out/campaign.json" --executor dask --out "$out/dask" > "$out/dask.txt" &
campaign=$!
while kill -0 $campaign 2> /dev/null && [ "$(finished)" -lt $((schedules / 2)) ]; do sleep 0.2; done
# The busiest process below the campaign is a worker; its nanny and Dask's resource tracker do next to nothing.
worker=$(children $(ps -o pid= --ppid $campaign) | xargs -r -n1 ps -o cputimes=,pid= -p | sort -rn | awk 'NR == 1 {print $2}')
echo "after $(finished) of $schedules schedules: kill -KILL $worker: $(ps -o args= -p "$worker" | cut -c1-60)"
kill -KILL "$worker"
code=0
wait $campaign || code=$?
echo "dask: exit code $code after $((SECONDS - began)) s"

began=$SECONDS code=0
$migemu campaign run "$out/campaign.json" --out "$out/local" > "$out/local.txt" || code=$?
echo "local: exit code $code after $((SECONDS - began)) s"
cat "$out/local.txt"
cmp "$out/dask/report.json" "$out/local/report.json"
echo "the reports are the same"
