#!/usr/bin/env bash
# The measurements behind docs/who-loads-config.md, over real sockets. About two hours on two quiet cores.
#
#   benchmarks/who_loads_config.sh [DIR]         runs what is missing in DIR (default: out/who-loads-config)
#   RUNS=1 WARMUP=0 DEVICES=1,2 benchmarks/who_loads_config.sh /tmp/try      a quick try
#
# Every study is resumable: interrupted, the same command goes on. The last lines are the page's tables.
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=${1:-out/who-loads-config}
RUNS=${RUNS:-5}
WARMUP=${WARMUP:-1}
DEVICES=${DEVICES:-1,2,4,8,16}
DILATION=${DILATION:-10}
MIGEMU=${MIGEMU:-.venv/bin/migemu}
CONFIG=configs/connectx7.toml
# First the one all others are compared with: a load thread loads config as soon as its device is ready.
DESIGNS=load-thread,main-channel,blocking-wait,non-iterable,load-ready,incoming-complete,recv-loads-nonblocking,reentrant

say() { printf '\n== %s\n' "$*"; }
compare() { # NAME ARGUMENTS...
    local name=$1
    shift
    say "$name"
    "$MIGEMU" compare "$CONFIG" --runs "$RUNS" --warmup "$WARMUP" --out "$OUT/$name" "$@"
}

mkdir -p "$OUT"

# Does a dilated run say the same as an undilated one, where the machine can carry both?
compare fits --handoffs load-thread,load-ready,main-channel --scan devices=1,2 --scan dilation=1,2,"$DILATION"

# The question itself: devices alike, and the first with 8 times the state of the last.
compare devices --handoffs "$DESIGNS" --dilation "$DILATION" --scan devices="$DEVICES" --scan skew=1,8

# How the gain depends on what a config load costs.
compare config-time --handoffs load-thread,load-ready,reentrant --dilation "$DILATION" --set devices=4 \
    --scan skew=8 --scan 'device.*.config_load_time=10 ms,70 ms,300 ms'

# The published channel counts.
say channels
"$MIGEMU" sweep "$CONFIG" --runs "$RUNS" --warmup "$WARMUP" --out "$OUT/channels" --dilation "$DILATION" \
    --set handoff=load-thread --scan channels=6,8,15,25,100

say tables
"${PYTHON:-.venv/bin/python}" benchmarks/who_loads_config.py "$OUT"
