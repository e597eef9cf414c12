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
keep=''
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
trap 'keep=""; exit 130' INT TERM HUP

die() {
	keep=''
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
	"$top/scripts/packages" install run || die "packages"
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
"$authd" --embedded "$dir/a" --sql-dir "$top/sql" --listen 127.0.0.1:0 \
    --device-listen 127.0.0.1:0 >"$dir/authd.log" 2>&1 &
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

# --- gateway, order, devices ----------------------------------------------
# The gateway listens before the burn, so that the records can name its port.
run_ctl() { "$ctl" "$@" >>"$dir/authctl.log" 2>&1 || die "authctl $1 $2"; }

run_ctl caller create line1 --role station \
    --credential-out "$dir/station.credential"
run_ctl caller create hub1 --role gateway --audiences hub \
    --credential-out "$dir/gateway.credential"
said "callers made: station line1, gateway hub1 (credentials in 0600 files)"

"$gateway" --url "$FEALTY_URL" --credential-file "$dir/gateway.credential" \
    --audience hub --listen 127.0.0.1:0 >"$dir/gateway.out" \
    2>"$dir/gateway.log" &
pids+=($!)
gateway_pid=$!
until_true 30 grep -q '^listening ' "$dir/gateway.out" ||
    die "the gateway does not listen"
hub=$(sed -n 's/^listening //p' "$dir/gateway.out")
run_ctl audience set hub "$hub"
said "gateway of audience hub listens at $hub"

run_ctl order create first --model m1 --quantity 3 --expires 24h \
    --peers hub --stations line1 --serial-pattern 'SN[0-9]{4}' \
    --device-id '{model}-{n:3}'
said "production order first: 3 devices of model m1, serials SN0000 to SN9999"

mkdir -m 700 "$dir/burned"
if "$tool" burn --order first --serial bad --target "file:$dir/burned" \
    --journal "$dir/journal" --credential-file "$dir/station.credential" \
    >"$dir/burn.log" 2>&1; then
	die "a wrong serial number was burned"
fi
grep -q serial_refused "$dir/burn.log" ||
    grep -q "does not match" "$dir/burn.log" || die "no reason for the refusal"
said "a bad scan was refused before a number was reserved"

for n in 1 2 3; do
	"$tool" burn --order first --serial "SN000$n" \
	    --target "file:$dir/burned" --journal "$dir/journal" \
	    --credential-file "$dir/station.credential" \
	    >"$dir/burn.log" 2>&1 || die "burn of SN000$n"
	said "SN000$n burned: written, read back, proven, confirmed as m1-00$n"
done
[ "$("$ctl" device list --state active --json | jq '.devices | length')" \
    = 3 ] || die "three devices are not active"

# --- tokens and sessions --------------------------------------------------
tls=(- 1.3 1.3 1.2)
dev() { # N ARGUMENT...: device N speaks
	local n=$1
	shift
	"$device" --record "$dir/burned/m1-00$n.cbor" --tls "${tls[n]}" "$@"
}
for n in 1 2 3; do
	dev "$n" token >"$dir/token$n" 2>"$dir/device$n.log" ||
	    die "no token for m1-00$n"
	said "m1-00$n got a token over TLS ${tls[n]} PSK, no certificate involved"
done
session=()
for n in 1 2 3; do
	dev "$n" connect --audience hub --token "$(cat "$dir/token$n")" \
	    --hold >"$dir/session$n" 2>>"$dir/device$n.log" &
	pids+=($!)
	session[n]=$!
	until_true 20 grep -qs '^OK ' "$dir/session$n" ||
	    die "the gateway did not accept m1-00$n"
	said "m1-00$n connected to the gateway (TLS ${tls[n]}):" \
	    "$(head -n 1 "$dir/session$n")"
done

# --- revocation -----------------------------------------------------------
"$ctl" revoke device:m1-002 --reason "shown by the quickstart" \
    >"$dir/revoke.out" 2>"$dir/authctl.log" || die "authctl revoke"
said "authctl revoke device:m1-002: $(tr '\n' ';' <"$dir/revoke.out")"

until_true 20 grep -q '^CLOSED ' "$dir/session2" ||
    die "the gateway kept the revoked session"
said "the gateway closed its session:" \
    "$(grep '^CLOSED ' "$dir/session2")"

# The token of the revoked device, which has minutes to live, as the gateway
# asks about it and as an operator asks why.
answer=$(curl -s -H "Authorization: Bearer $(cat "$dir/gateway.credential")" \
    --data-urlencode "token=$(cat "$dir/token2")" "$FEALTY_URL/oauth2/introspect")
[ "$(jq -r .active <<<"$answer")" = false ] || die "the token still counts"
said "its token is refused: $answer"
"$ctl" explain - --json <"$dir/token2" >"$dir/explain" 2>"$dir/authctl.log" ||
    die "authctl explain"
[ "$(jq -r .accepted "$dir/explain")" = false ] || die "explain disagrees"
said "authctl explain: $(jq -r '.code + ": " + .reason' "$dir/explain")"

jwt=$(dev 2 assertion 2>"$dir/device2.log") || die "no assertion"
answer=$(curl -s -d grant_type=client_credentials \
    -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
    -d "client_assertion=$jwt" "$FEALTY_URL/oauth2/token")
[ "$(jq -r .code <<<"$answer")" = device_revoked ] ||
    die "the token request was answered: $answer"
said "its token request is refused: $answer"

if dev 2 connect --audience hub >"$dir/none" 2>"$dir/handshake"; then
	die "the revoked device connected"
fi
refused='handshake refused device=m1-002 code=device_revoked'
until_true 20 grep -q "$refused" "$dir/gateway.log" ||
    die "the gateway's log does not say why"
said "its next handshake fails; the gateway's log:" \
    "$(grep -o "$refused.*" "$dir/gateway.log" | tail -n 1)"

for n in 1 3; do
	kill -0 "${session[n]}" 2>/dev/null && ! grep -q CLOSED \
	    "$dir/session$n" || die "the session of m1-00$n ended"
	dev "$n" token >"$dir/token$n" 2>>"$dir/device$n.log" ||
	    die "no new token for m1-00$n"
	dev "$n" connect --audience hub --token "$(cat "$dir/token$n")" \
	    >"$dir/again$n" 2>>"$dir/device$n.log" ||
	    die "m1-00$n cannot connect any more"
	said "m1-00$n goes on: session open, new token, new handshake," \
	    "$(cat "$dir/again$n")"
done

mark=$begun
said "all of it was seen"
if [ -n "$keep" ]; then
	cat <<-TALK

	Left running; its files are in $dir. To talk to it:
	  export FEALTY_URL=$FEALTY_URL
	  export FEALTY_CREDENTIAL_FILE=$FEALTY_CREDENTIAL_FILE
	  $ctl device list
	  $ctl explain m1-002
	  $ctl device suspend m1-001
	  $device --record $dir/burned/m1-001.cbor token
	  tail -f $dir/gateway.log
	To end it:
	  kill $authd_pid $gateway_pid; tail --pid=$authd_pid -f /dev/null; rm -r $dir
	TALK
	disown -a
fi
