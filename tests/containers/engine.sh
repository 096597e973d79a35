#!/usr/bin/env bash
# Run a command with a container engine at hand, and leave nothing behind.
#
#   tests/containers/engine.sh COMMAND [ARG...]
#
# An engine that already answers is used as it is. Otherwise, as root on a Debian, this installs one, starts
# a daemon of its own and ends it with the command. Where no engine can be had it says SKIP with the reason
# and exits 0; E2E_REQUIRE=1 turns that into a failure, so that CI has no silent hole.
#
# The command sees
#   DOCKER_HOST     the engine's socket (unset: the engine of the machine)
#   E2E_COMPOSE     how compose is called here: "docker compose" or "docker-compose"
#   MIGEMU_BASE     a local stand-in for the Python base image, where there is no image registry
#   E2E_ENGINE      own | host
#
# Settings: E2E_STATE (images and the base's archive, kept between runs, outside the clone; about 700 MB),
# E2E_SUITE (Debian release of the stand-in; its Python is the base tag's), E2E_INSTALL=0 (install nothing).
set -euo pipefail

state=${E2E_STATE:-${XDG_CACHE_HOME:-$HOME/.cache}/migemu-e2e}
suite=${E2E_SUITE:-trixie}
standin=localhost/migemu-base:$suite
packages=(docker.io docker-compose mmdebstrap iproute2 ca-certificates)
command_pid=
owned=

say() { printf 'engine: %s\n' "$*" >&2; }

skip() {
  if [[ ${E2E_REQUIRE:-0} == 1 ]]; then
    say "FAIL: $* (E2E_REQUIRE=1)"
    exit 1
  fi
  printf 'SKIP: %s\n' "$*"
  exit 0
}

find_compose() {
  if docker compose version >/dev/null 2>&1; then
    E2E_COMPOSE="docker compose"
  elif command -v docker-compose >/dev/null; then
    E2E_COMPOSE=docker-compose
  else
    return 1
  fi
  export E2E_COMPOSE
}

host_engine() { timeout 10 docker version >/dev/null 2>&1 && find_compose; }

install_packages() {
  local missing=()
  command -v dockerd >/dev/null || missing+=(docker.io)
  find_compose || missing+=(docker-compose)
  command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
  command -v tc >/dev/null || missing+=(iproute2)
  ((${#missing[@]})) || return 0
  [[ ${E2E_INSTALL:-1} == 1 ]] || skip "not installed, and E2E_INSTALL=0: ${missing[*]}"
  command -v apt-get >/dev/null || skip "no engine, and no apt-get to install one with"
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # A daemon that the package starts by itself would be a second one, with its own firewall rules.
  timeout 120 sh -c 'apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$@"' \
    install "${packages[@]}" >"$state/apt.log" 2>&1 || skip "apt-get did not install them, see $state/apt.log"
  hash -r
  find_compose || skip "no compose after the installation"
}

daemon_pid() { # the pid of a daemon on our state folder, also one that an earlier, killed run left
  local pid
  pid=$(cat "$state/pid" 2>/dev/null) || return 1
  tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$state/data" && echo "$pid"
}

stop_daemon() {
  local pid waited=0
  if pid=$(daemon_pid); then
    kill "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && ((waited++ < 100)); do sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
  fi
  # dockerd leaves mounts under its exec root; deepest first.
  awk -v root="$state/" 'index($2, root) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r -n1 umount -l || true
  rm -rf "$state/pid" "$state/sock" "$state/exec"
}

remove_leftovers() { # everything on our own daemon is ours
  docker ps -aq | xargs -r docker rm -fv >/dev/null
  docker network prune -f >/dev/null
  docker volume prune -f >/dev/null
  docker image prune -f >/dev/null
}

start_daemon() {
  local waited=0
  stop_daemon
  mkdir -p "$state/data"
  # No NAT, no forwarding, no bridge of its own: the machine's firewall stays as it is. Containers on one
  # compose network need none of that, and have no way out. --pdeathsig: the daemon ends even if this
  # script is killed with -9.
  setsid setpriv --pdeathsig TERM dockerd --data-root "$state/data" --exec-root "$state/exec" \
    --pidfile "$state/pid" -H "unix://$state/sock" --iptables=false --ip6tables=false --bridge=none \
    --ip-forward=false --userland-proxy=false >"$state/dockerd.log" 2>&1 </dev/null 9>&- &
  export DOCKER_HOST=unix://$state/sock
  until docker version >/dev/null 2>&1; do
    ((waited++ < 150)) || skip "dockerd does not answer: $(tail -n 1 "$state/dockerd.log")"
    sleep 0.2
  done
  owned=1
  remove_leftovers
}

make_base() {
  export MIGEMU_BASE=$standin
  docker image inspect "$standin" >/dev/null 2>&1 && return
  if [[ ! -s $state/$suite.tar ]]; then
    say "making the stand-in base image from Debian $suite"
    # --format: mmdebstrap would take an unknown ending for a folder.
    timeout 180 mmdebstrap -q --format=tar --variant=minbase --include=ca-certificates,python3,python3-venv \
      --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
      --dpkgopt='path-exclude=/usr/share/man/*' \
      --customize-hook='cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"' \
      "$suite" "$state/$suite.tar.part" >"$state/base.log" 2>&1 9>&- ||
      skip "no base image: $(tail -n 1 "$state/base.log")"
    mv "$state/$suite.tar.part" "$state/$suite.tar"
  fi
  docker import --change 'CMD ["python3"]' "$state/$suite.tar" "$standin" >/dev/null
}

cleanup() {
  local code=$?
  trap - EXIT
  trap '' INT TERM
  if [[ -n $command_pid ]] && kill -TERM "$command_pid" 2>/dev/null; then
    wait "$command_pid" 2>/dev/null || true
  fi
  if [[ -n $owned ]]; then
    remove_leftovers || true
    stop_daemon
  fi
  exit "$code"
}

own_engine() {
  local path=$state/sock
  ((${#path} < 100)) || skip "E2E_STATE is too long a path for a socket: $state"
  [[ $(id -u) == 0 ]] || skip "no engine answers, and starting one needs root"
  mkdir -p "$state"
  exec 9>"$state/lock"
  flock -w 300 9 || skip "another run has been using $state for 5 minutes"
  install_packages
  start_daemon
  make_base
}

(($#)) || { say "usage: engine.sh COMMAND [ARG...]"; exit 2; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [[ ${E2E_ENGINE:-} != own ]] && host_engine; then
  export E2E_ENGINE=host
else
  own_engine
  export E2E_ENGINE=own
fi
say "$E2E_ENGINE engine, $E2E_COMPOSE, base ${MIGEMU_BASE:-of the registry}"
# In the background, so that a signal's trap runs at once and not only when the command ends.
"$@" 9>&- &
command_pid=$!
code=0
wait "$command_pid" || code=$?
command_pid=
exit "$code"
