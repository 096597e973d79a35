#!/usr/bin/env bash
# The virtual runs behind docs/beyond-four-vfs.md, its tables and its plots.
#
#   benchmarks/beyond_four_vfs.sh DIR [PLOTS]
#
# DIR keeps one line of JSON for each study (three minutes on one core in all) and for the grid of all of them (some
# ten minutes on two); what is there already is not run again. PLOTS, by default DIR, gets the SVG files.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?a folder for the results}
plots=${2:-$out}
mkdir -p "$out" "$plots"
common=(configs/connectx7.toml --virtual --json --handoffs all
    --set limits.queue_per_device=unlimited --set limits.queue_total=unlimited
    --set migration.channels=16 --set migration.max_rounds=3)
compare() { # NAME ARGUMENTS...: the summary is the last line
    local name=$1
    shift
    [ -s "$out/$name.json" ] && return
    .venv/bin/migemu compare "${common[@]}" "$@" | tail -n 1 > "$out/$name.part"
    mv "$out/$name.part" "$out/$name.json"
}
compare devices --scan devices=1,2,4,8,16,32,64
compare skew --scan devices=8,32 --scan skew=1,4,16
compare config --set devices=16 --scan 'device.*.config_load_time=10 ms,70 ms,300 ms'
compare rate --set devices=64 --set 'link.per_channel=50 Gbit/s' \
    --scan 'link.rate=100 Gbit/s,200 Gbit/s,400 Gbit/s,800 Gbit/s'
compare grid --jobs 2 --set 'link.per_channel=50 Gbit/s' --scan devices=8,16,32,64 --scan skew=1,4,16 \
    --scan 'link.rate=100 Gbit/s,200 Gbit/s,400 Gbit/s,800 Gbit/s' \
    --scan 'device.*.config_load_time=10 ms,70 ms,300 ms'
.venv/bin/python benchmarks/beyond_four_vfs.py "$out" "$plots"
