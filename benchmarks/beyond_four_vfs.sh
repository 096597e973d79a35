#!/usr/bin/env bash
# The virtual runs behind docs/beyond-four-vfs.md; a few minutes on one core. Usage: beyond_four_vfs.sh DIR
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?a folder for the results}
common=(configs/connectx7.toml --virtual --runs 1 --warmup 0
    --set limits.queue_per_device=unlimited --set limits.queue_total=unlimited
    --set migration.channels=16 --set migration.max_rounds=3)
compare() { # NAME ARGUMENTS...
    local name=$1
    shift
    .venv/bin/migemu compare "${common[@]}" --out "$out/$name" "$@" | sed -n '/95 %/,$p'
}
designs=main-channel,blocking-wait,load-finish,load-thread,reentrant
some=blocking-wait,load-finish,load-thread,reentrant
compare devices --handoffs "$designs" --scan devices=1,2,4,8,16,32,64
compare skew --handoffs "$some" --scan devices=8,32 --scan skew=1,4,16
compare config --handoffs "$some" --set devices=16 --scan 'device.*.config_load_time=10 ms,70 ms,300 ms'
compare rate --handoffs "$some" --set devices=64 --set 'link.per_channel=50 Gbit/s' \
    --scan 'link.rate=100 Gbit/s,200 Gbit/s,400 Gbit/s,800 Gbit/s'
