#!/usr/bin/env bash
# A campaign over a LocalCluster that loses a worker half-way, and the same one on local processes: their
# reports must be the same to the byte. Usage: campaign.sh DIR [SCHEDULES] [PLAN ARGUMENTS...]
#
#   benchmarks/campaign.sh /tmp/campaign 1000000                 production's destination, the stock scenario
#   benchmarks/campaign.sh /tmp/campaign 20000 --bug B1          a destination that fails
#
# Interrupted, the same command goes on: finished shards and the worker's death are kept in DIR.
set -euo pipefail
cd "$(dirname "$0")/.."
migemu=.venv/bin/migemu
out=${1:?a folder for the results}
schedules=${2:-1000000}
shift $(($# < 2 ? $# : 2))
what=("$@")
[ $# -gt 0 ] || what=(migemu/lab/small.toml)
mkdir -p "$out"
$migemu campaign plan "${what[@]}" --schedules "$schedules" > "$out/plan.json"
if [ -e "$out/campaign.json" ] && ! cmp -s "$out/plan.json" "$out/campaign.json"; then
    echo "$out holds another campaign; choose another folder" >&2
    exit 2
fi
mv "$out/plan.json" "$out/campaign.json"

finished() { find "$out/dask" -name 'shard-*' 2> /dev/null | sed 's/.*-0*\([1-9][0-9]*\)\.json/\1/' | awk '{n += $1} END {print n + 0}'; }
children() { # PIDS...: they and all below them
    local pid
    for pid; do
        echo "$pid"
        # shellcheck disable=SC2046  # one word a process
        children $(ps -o pid= --ppid "$pid")
    done
}
kill_one() { # PID of the campaign: its worker that has worked most
    # A worker is busy; its nanny, the scheduler and Dask's resource tracker do next to nothing.
    local worker
    worker=$(children $(ps -o pid= --ppid "$1") | xargs -r -n1 ps -o cputimes=,pid= -p | sort -rn | awk 'NR == 1 {print $2}')
    echo "after $(finished) of $schedules schedules: kill -KILL $worker: $(ps -o args= -p "$worker" | cut -c1-60)"
    kill -KILL "$worker"
    touch "$out/killed"
}
run() { # EXECUTOR: what it printed is kept, and how long it took
    local began=$SECONDS code=0
    $migemu campaign run "$out/campaign.json" --executor "$1" --out "$out/$1" > "$out/$1.txt" &
    local campaign=$!
    trap 'kill -TERM $campaign 2> /dev/null; wait $campaign; exit 130' INT TERM  # a background process does not hear INT
    while [ "$1" = dask ] && [ ! -e "$out/killed" ] && kill -0 $campaign 2> /dev/null; do
        [ "$(finished)" -lt $((schedules / 2)) ] || kill_one $campaign
        sleep 0.2
    done
    wait $campaign || code=$?
    echo "$1: exit code $code after $((SECONDS - began)) s"
}

run dask
run local
cat "$out/local.txt"
[ -e "$out/killed" ] || { echo "no worker was killed: too few schedules" >&2; exit 1; }
cmp "$out/dask/report.json" "$out/local/report.json"
echo "the reports are the same"
