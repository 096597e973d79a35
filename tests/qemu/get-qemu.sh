#!/usr/bin/env bash
# Unpack a newer Debian's QEMU into a folder, beside whatever the machine has installed.
#
#   tests/qemu/get-qemu.sh [FOLDER]
#
# FOLDER defaults to $MIGEMU_QEMU_DIR, then ~/.cache/migemu/qemu-10 (qemu-10-aarch64 for ARM64's). Nothing outside FOLDER is touched: apt
# gets a state of its own in there, packages are unpacked and never installed, no maintainer script runs, no
# root is needed. Packages come from the mirror this machine's own apt is set up with, and apt checks their
# signatures against Debian's keyring. A second call with a complete FOLDER ends at once.
#
#   MIGEMU_QEMU_SUITE   the Debian suite to take it from (default: trixie, whose QEMU is 10.0)
#   MIGEMU_QEMU_TARGET  x86_64 (the default) or aarch64: which program
#   MIGEMU_QEMU_MIRROR  a Debian mirror's address, where apt is set up with none
set -euo pipefail

suite=${MIGEMU_QEMU_SUITE:-trixie}
target=${MIGEMU_QEMU_TARGET:-x86_64}
case $target in
    x86_64) package=qemu-system-x86 default=${MIGEMU_QEMU_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/migemu/qemu-10} ;;
    aarch64) package=qemu-system-arm default=${XDG_CACHE_HOME:-$HOME/.cache}/migemu/qemu-10-aarch64 ;;
    *) echo "get-qemu: MIGEMU_QEMU_TARGET is x86_64 or aarch64, not $target" >&2; exit 2 ;;
esac
folder=${1:-$default}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die() { echo "get-qemu: $*" >&2; exit 1; }

if [ "$(cat "$folder/.complete" 2>/dev/null)" = "$suite" ]; then
    echo "$folder"
    exit 0
fi
for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || die "$tool is missing: this needs a Debian or a derivative of it"
done
[ -r "$keyring" ] || die "$keyring is missing: install debian-archive-keyring"

# The mirror that serves this machine's own main component; security and updates archives carry no full suite.
mirror=${MIGEMU_QEMU_MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' |
    awk '$3 == "main" && $2 !~ /-/ { print $1; exit }')}
[ -n "$mirror" ] || die "apt has no Debian mirror configured: name one in MIGEMU_QEMU_MIRROR"

mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$folder.part.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/apt/{lists,archives}/partial "$work"/apt/{sources,preferences,trusted} "$work/root"
: >"$work/apt/status" # an empty status: nothing counts as installed, so the closure reaches down to libc
cat >"$work/apt/sources/suite.sources" <<EOF
Types: deb
URIs: $mirror
Suites: $suite
Components: main
Signed-By: $keyring
EOF
private() {
    timeout 300 apt-get -q \
        -o Dir::State="$work/apt" -o Dir::State::Lists="$work/apt/lists" -o Dir::State::status="$work/apt/status" \
        -o Dir::Cache="$work/apt" -o Dir::Cache::archives="$work/apt/archives" \
        -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/apt/sources" \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts="$work/apt/preferences" \
        -o Dir::Etc::TrustedParts="$work/apt/trusted" -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 \
        -o APT::Keep-Downloaded-Packages=true -o Acquire::Retries=2 -o Acquire::Languages=none "$@"
}
log=$work/apt/log
private update >"$log" 2>&1 || { tail -n 5 "$log" >&2; die "apt-get update of $suite failed"; }
private install -y --download-only --no-install-recommends "$package" >"$log" 2>&1 ||
    { tail -n 5 "$log" >&2; die "downloading $package from $suite failed"; }
for deb in "$work"/apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/root" --no-same-owner --keep-directory-symlink \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*'
done
[ -x "$work/root/usr/bin/qemu-system-$target" ] || die "no qemu-system-$target in the packages of $suite"

echo "$suite" >"$work/root/.complete"
# Only this script's own earlier work is ever replaced.
if [ -e "$folder" ]; then
    [ -e "$folder/.complete" ] || [ -z "$(ls -A "$folder")" ] || die "$folder exists and is not mine: move it away"
    rm -rf "$folder"
fi
mv "$work/root" "$folder"
echo "$folder"
