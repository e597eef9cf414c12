#!/bin/bash
# From nothing to a revoked device: installs the Debian packages needed,
# builds, and walks the whole path with real processes. One line a step with
# what was seen and how long it took; exit 0 only if all of it was seen.
#   examples/quickstart.sh [--keep]
# --keep leaves everything running and prints how to talk to it.
# FEALTY_BUILD=DIR uses a finished build; FEALTY_NO_PACKAGES=1 installs none.
set -u
umask 022

top=$(cd "$(dirname "$0")/.." && pwd -P)
build=${FEALTY_BUILD:-$top/build-quickstart}
keep=
case ${1-} in
'') ;;
--keep) keep=1 ;;
*)
	sed -n '2,7s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac
[ $# -le 1 ] || exit 2
unset FEALTY_URL FEALTY_CREDENTIAL_FILE FEALTY_CA_FILE

# Sockets need a short path that PostgreSQL's user can pass through.
dir=$(mktemp -d "/tmp/fealty-qs.XXXXXX") || exit 1
chmod 711 "$dir"
pids=()
begun=${EPOCHREALTIME/./}

# shellcheck disable=SC2317
cleanup() {
	local p
	[ -z "$keep" ] || return
	for p in ${pids[@]+"${pids[@]}"}; do
		kill "$p" 2>/dev/null
	done
	for p in ${pids[@]+"${pids[@]}"}; do
		wait "$p" 2>/dev/null
	done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'keep=; exit 130' INT TERM HUP

die() {
	keep=
	echo "FAILED: $*" >&2
	for log in "$dir"/*.log; do
		[ -s "$log" ] || continue
		echo "--- the end of $(basename "$log")" >&2
		tail -n 15 "$log" >&2
	done
	exit 1
}

mark=$begun
said() { # what was seen, with the time since the step before
	local now=${EPOCHREALTIME/./} us
	us=$((now - mark))
	printf '%7d.%d ms  %s\n' $((us / 1000)) $((us % 1000 / 100)) "$*"
	mark=${EPOCHREALTIME/./}
}

until_true() { # SECONDS COMMAND...: polls to a deadline
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.02
	done
}

build_all() {
	[ -x "$top/configure" ] || "$top/autogen.sh" || return
	mkdir -p "$build" && cd "$build" || return
	[ -f config.status ] || "$top/configure" -q || return
	make -s -j"$(nproc)" all
}

# --- packages and build ---------------------------------------------------
if [ "${FEALTY_NO_PACKAGES-}" != 1 ]; then
	"$top/scripts/packages" install || die "packages"
	said "Debian packages are there"
fi
if [ -z "${FEALTY_BUILD-}" ]; then
	(build_all) >"$dir/build.log" 2>&1 || die "build"
	said "built in $build"
fi
authd=$build/authd/authd
ctl=$build/authctl/authctl
tool=$build/provision-tool/provision-tool
gateway=$build/examples/gateway
device=$build/examples/device

# --- the authority --------------------------------------------------------
"$authd" --embedded "$dir/a" >"$dir/authd.log" 2>&1 &
pids+=($!)
authd_pid=$!
ready() { [ -f "$dir/a/run/ready" ] || ! kill -0 $authd_pid 2>/dev/null; }
until_true 60 ready
[ -f "$dir/a/run/ready" ] || die "authd did not become ready"
api=$(sed -n 's/^api=//p' "$dir/a/run/ports")
listener=$(sed -n 's/^device=//p' "$dir/a/run/ports")
export FEALTY_URL="http://127.0.0.1:${api##*:}"
export FEALTY_CREDENTIAL_FILE="$dir/a/keys/admin.credential"
said "authd runs at $FEALTY_URL with a private PostgreSQL;" \
    "devices at 127.0.0.1:${listener##*:}"

# --- who is who -----------------------------------------------------------
"$ctl" caller create line1 --role station --credential-out \
    "$dir/station.credential" >"$dir/ctl.log" 2>&1 || die "caller create"
said "station line1 has a credential"
