#!/bin/sh
# Hold the link towards a running container to a rate, in the kernel of this machine. Needs root and iproute2.
#
#   docker/shape.sh RATE [CONTAINER]      RATE as tc writes it (1gbit, 500mbit), or "off"
#
# CONTAINER is the compose file's running destination unless it is named. The queue is put on the host's end
# of the container's cable, so the image needs no tool and the container no capability.
set -eu

rate=${1:?usage: docker/shape.sh RATE|off [CONTAINER]}
container=${2:-$(docker ps -q --filter label=com.docker.compose.service=destination \
    --filter "label=com.docker.compose.project=${COMPOSE_PROJECT_NAME:-docker}")}
[ -n "$container" ] || { echo "shape: no destination is running; start it with: compose up -d destination" >&2; exit 1; }

# Inside, the link is called eth0@ifN: N is the number of its other end, here.
pid=$(docker inspect -f '{{.State.Pid}}' "$container")
number=$(nsenter -t "$pid" -n ip -o link show eth0 | sed -n 's/.*eth0@if\([0-9]*\):.*/\1/p')
link=$(ip -o link | sed -n "s/^$number: \([^@:]*\).*/\1/p")
[ -n "$link" ] || { echo "shape: the container's cable does not end on this machine" >&2; exit 1; }

if [ "$rate" = off ]; then
    tc qdisc del dev "$link" root
    echo "$link: as fast as it is"
else
    # Offload hands over 64 KiB at a time; a bucket of less than a few of those never fills.
    tc qdisc replace dev "$link" root tbf rate "$rate" burst 1mb latency 50ms
    echo "$link: $rate towards $container"
fi
