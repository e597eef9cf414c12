#!/bin/bash
# How fast the hot paths are, each beside its floor: the least that a server
# on the same stack has to do, measured in the same run with the same load.
#   bench/run.sh [ROW...] [--smoke] [--json FILE]
# Rows: introspect-seen introspect-new token-psk token-assertion revocation
# gateway-verify burn; without any, all. --smoke takes seconds and judges only
# that every answer is right. FEALTY_BUILD names a build (default:
# ./build-bench, made if need be); FEALTY_REVOCATIONS how many revocations of
# each kind there are (default: 2000); FEALTY_GATEWAYS=N measures them with N
# gateways and no other number, which judges nothing.
set -u
umask 022

top=$(cd "$(dirname "$0")/.." && pwd -P)
all_rows="introspect-seen introspect-new token-psk token-assertion"
all_rows+=" revocation gateway-verify burn"
rows=() smoke='' json=''
while [ $# -gt 0 ]; do
	case $1 in
	--smoke) smoke=1 ;;
	--json)
		[ $# -ge 2 ] || { echo "--json FILE" >&2; exit 2; }
		json=$2
		shift
		;;
	-*)
		sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
		exit 2
		;;
	*)
		case " $all_rows " in
		*" $1 "*) rows+=("$1") ;;
		*) echo "no row $1; rows: $all_rows" >&2; exit 2 ;;
		esac
		;;
	esac
	shift
done
[ ${#rows[@]} -gt 0 ] || read -r -a rows <<<"$all_rows"

if [ -n "$smoke" ]; then
	rounds=1 time=1s devices=4 connections=16 nassert=400 ntokens=400
	units=40
	few=2 many=4 most=8 revocations=${FEALTY_REVOCATIONS:-5}
else
	rounds=5 time=5s devices=64 connections=64 nassert=120000
	ntokens=100000 units=2000
	few=10 many=100 most=1000 revocations=${FEALTY_REVOCATIONS:-2000}
fi

build=${FEALTY_BUILD:-$top/build-bench}
if [ -z "${FEALTY_BUILD-}" ]; then
	{
		[ -x "$top/configure" ] || "$top/autogen.sh"
		mkdir -p "$build" && cd "$build" &&
		    { [ -f config.status ] || "$top/configure" -q; } &&
		    make -s -j"$(nproc)" all
	} >/dev/null || { echo "bench: the build failed" >&2; exit 1; }
fi
ctl=$build/authctl/authctl
load=$build/bench/load
prepare=$build/bench/prepare
pgbin=/usr/lib/postgresql/15/bin

dir=$(mktemp -d /tmp/fealty-be.XXXXXX) || exit 1
chmod 711 "$dir"
authd_pid='' floor_pid='' pg_pid='' load_pid=''
api=0 listener=0 # chosen at the first start and kept: the issuer names it
unset FEALTY_URL FEALTY_CREDENTIAL_FILE FEALTY_CA_FILE

stop() { # PID: ends it and waits
	[ -z "$1" ] || { kill "$1" && wait "$1"; } 2>/dev/null
}
cleanup() {
	stop "$load_pid"
	stop "$floor_pid"
	stop "$authd_pid"
	[ -z "$pg_pid" ] || { kill -INT "$pg_pid" && wait "$pg_pid"; } \
	    2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

die() {
	echo "bench: $*" >&2
	tail -n 20 "$dir"/*.log >&2 2>/dev/null
	exit 1
}
until_true() { # SECONDS COMMAND...: polls to a deadline
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.02
	done
}

# --- the authority and its devices ----------------------------------------
start_authd() {
	rm -f "$dir/a/run/ready"
	"$build/authd/authd" --embedded "$dir/a" --sql-dir "$top/sql" \
	    --listen "127.0.0.1:$api" \
	    --device-listen "127.0.0.1:$listener" \
	    --connections-per-address 0 \
	    --log-level warn >>"$dir/authd.log" 2>&1 &
	authd_pid=$!
	until_true 60 test -f "$dir/a/run/ready" || die "authd is not ready"
	api=$(sed -n 's/^api=.*:\([0-9]*\)$/\1/p; s/^api=\([0-9]*\)$/\1/p' \
	    "$dir/a/run/ports")
	listener=$(sed -n \
	    's/^device=.*:\([0-9]*\)$/\1/p; s/^device=\([0-9]*\)$/\1/p' \
	    "$dir/a/run/ports")
	export FEALTY_URL=http://127.0.0.1:$api
}

burn_all() {
	local i
	mkdir -m 700 "$dir/records" || return 1
	for ((i = 1; i <= devices; i++)); do
		"$build/provision-tool/provision-tool" burn --order bench \
		    --serial "B$i" --target "file:$dir/records" \
		    --journal "$dir/journal" \
		    --credential-file "$dir/station.credential" \
		    >/dev/null || return 1
	done
}

set_up() {
	start_authd
	export FEALTY_CREDENTIAL_FILE=$dir/a/keys/admin.credential
	{
		"$ctl" audience set hub 127.0.0.1:9 &&
		    "$ctl" caller create line --role station \
			--credential-out "$dir/station.credential" &&
		    "$ctl" caller create gw --role gateway --audiences hub \
			--credential-out "$dir/gateway.credential" &&
		    "$ctl" order create bench --model M --quantity 1000 \
			--expires 24h --peers hub --stations line
	} >"$dir/ctl.log" 2>&1 || die "the authority could not be set up"
	burn_all >"$dir/burn.log" 2>&1 || die "burn"
	"$prepare" identities --records "$dir/records" --out "$dir/ids" ||
	    die "identities"
	"$prepare" device-token --out "$dir/device-token.plan" || die plan
	# floors answer any identity with this key
	printf 'floor %s\n' "$(printf '%02x' $(seq 0 31))" >"$dir/floor.ids"
}

start_floor_pg() {
	local as=''
	[ -z "$pg_pid" ] || return 0
	mkdir -m 700 "$dir/pg" || return 1
	mkdir -m 755 "$dir/s" || return 1
	if [ "$(id -u)" = 0 ]; then
		as='setpriv --reuid=postgres --regid=postgres --clear-groups'
		chown postgres "$dir/pg" "$dir/s"
	fi
	(cd / && $as "$pgbin/initdb" -D "$dir/pg" -A trust -U floor \
	    --no-locale -E UTF8 --no-sync) >"$dir/pg.log" 2>&1 || return 1
	(cd / && exec $as "$pgbin/postgres" -D "$dir/pg" -k "$dir/s" \
	    -c listen_addresses= -c shared_buffers=128MB) \
	    >>"$dir/pg.log" 2>&1 &
	pg_pid=$!
	pg="host=$dir/s user=floor dbname=postgres"
	until_true 30 env PGCONNECT_TIMEOUT=2 "$pgbin/pg_isready" -q \
	    -h "$dir/s"
}

start_floor() { # FLAGS of bench/floor
	: >"$dir/floor.out"
	"$build/bench/floor" --answer "$dir/answer" "$@" >"$dir/floor.out" \
	    2>"$dir/floor.log" &
	floor_pid=$!
	until_true 20 grep -q '^port=' "$dir/floor.out" || die "floor"
	floor_port=$(sed -n 's/^port=//p' "$dir/floor.out")
}
stop_floor() {
	stop "$floor_pid"
	floor_pid=''
}

# --- measuring ------------------------------------------------------------
run_load() { # FLAGS: prints the rate; notes what went wrong
	local out
	out=$("$load" --connections "$connections" "$@") || touch "$dir/wrong"
	[ -n "$out" ] || out='{"rate":0}'
	jq -r .rate <<<"$out"
}
median() { tr ' ' '\n' | sort -n | awk 'NF {v[n++] = $1}
    END {print n ? v[int(n / 2)] : 0}'; }

results='[]'
machine="$(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo |
    head -n 1)"
all_ok=true
verdict() { # OK: a smoke run is too short to tell how fast anything is
	if [ "$1" != true ]; then
		echo NOT OK
	elif [ -n "$smoke" ]; then
		echo not judged
	else
		echo ok
	fi
}
report() { # ROW METRIC UNIT VALUE FLOOR REACH
	local ratio ok=true
	[ ! -e "$dir/wrong" ] || ok=false
	ratio=$(awk -v v="$4" -v f="$5" \
	    'BEGIN {printf "%.3f", (f > 0) ? v / f : 0}')
	if [ -z "$smoke" ] && [ "$ok" = true ]; then
		ok=$(awk -v r="$ratio" -v m="$6" \
		    'BEGIN {print (r >= m) ? "true" : "false"}')
	fi
	[ "$ok" = true ] || all_ok=false
	results=$(jq --arg row "$1" --arg metric "$2" --arg unit "$3" \
	    --argjson value "$4" --argjson floor "$5" \
	    --argjson ratio "$ratio" --argjson reach "$6" \
	    --argjson ok "$ok" --argjson smoke "$([ -n "$smoke" ] && echo true || echo false)" \
	    --arg machine "$machine" '. + [{row: $row, metric: $metric,
	    value: $value, unit: $unit, better: "higher", floor: $floor,
	    ratio: $ratio, reach: $reach, ok: $ok, smoke: $smoke,
	    machine: $machine}]' <<<"$results")
	printf '%-16s %-10s %9.0f %-4s %9.0f %6.1f%% %6.0f%%  %s\n' "$1" \
	    "$2" "$4" "$3" "$5" "$(awk "BEGIN {print $ratio * 100}")" \
	    "$(awk "BEGIN {print $6 * 100}")" \
	    "$(verdict "$ok")"
}

# The same for what should be small: a time, or what something takes.
report_least() { # ROW METRIC UNIT VALUE FLOOR REACH
	local ok=true
	[ ! -e "$dir/wrong" ] || ok=false
	if [ -z "$smoke" ] && [ "$ok" = true ]; then
		ok=$(awk -v v="$4" -v m="$6" \
		    'BEGIN {print (v <= m) ? "true" : "false"}')
	fi
	[ "$ok" = true ] || all_ok=false
	results=$(jq --arg row "$1" --arg metric "$2" --arg unit "$3" \
	    --argjson value "$4" --argjson floor "$5" --argjson reach "$6" \
	    --argjson ok "$ok" --argjson smoke "$([ -n "$smoke" ] && echo true || echo false)" \
	    --arg machine "$machine" '. + [{row: $row, metric: $metric,
	    value: $value, unit: $unit, better: "lower", floor: $floor,
	    reach: $reach, ok: $ok, smoke: $smoke, machine: $machine}]' \
	    <<<"$results")
	printf '%-16s %-10s %9.2f %-4s %9.2f %7s %7s  %s\n' "$1" "$2" "$4" \
	    "$3" "$5" '' "<= $6" "$(verdict "$ok")"
}

# Tokens of the devices, over their own connections; also the answer's octets
fetch_tokens() { # COUNT FILE
	head -c 0 /dev/null >"$2"
	"$prepare" repeat --plan "$dir/device-token.plan" --count "$1" \
	    --out "$dir/many.plan" || die "plan"
	run_load --port "$listener" --identities "$dir/ids" --once \
	    --seconds 120s --plan "$dir/many.plan" --save "$2" >/dev/null
	[ -s "$2" ] || die "no tokens"
}
check_tokens() { # FILE: signatures, and that all are distinct
	curl -sf "$FEALTY_URL/.well-known/jwks.json" >"$dir/jwks" &&
	    "$prepare" verify --jwks "$dir/jwks" --tokens "$1" \
		--issuer "$FEALTY_URL" || touch "$dir/wrong"
}
introspection_answer() { # TOKENFILE: the octets floors will answer
	curl -sf -H "Authorization: Bearer $(cat "$dir/gateway.credential")" \
	    --data-urlencode "token=$(head -n 1 "$1")" \
	    "$FEALTY_URL/oauth2/introspect" >"$dir/answer" ||
	    die "introspection"
}
token_answer() { # TOKENFILE: likewise for the token endpoint
	printf '{"access_token":"%s","token_type":"Bearer","expires_in":600,%s}' \
	    "$(head -n 1 "$1")" '"scope":"device"' >"$dir/answer"
}
plan_introspect() { # TOKENS PLAN [FLAGS]
	"$prepare" introspect --credential-file "$dir/gateway.credential" \
	    --tokens "$1" --out "$2" "${@:3}" || die "plan"
}

row_introspect_seen() {
	local values='' floors='' i
	fetch_tokens 1000 "$dir/seen"
	introspection_answer "$dir/seen"
	plan_introspect "$dir/seen" "$dir/seen.plan"
	plan_introspect "$dir/seen" "$dir/floor.plan" --answer "$dir/answer"
	run_load --port "$api" --plan "$dir/seen.plan" --once \
	    --seconds 60s >/dev/null # now all have been seen
	start_floor --mode fixed
	for ((i = 0; i < rounds; i++)); do
		floors+=" $(run_load --port "$floor_port" --exact --plan \
		    "$dir/floor.plan" --seconds $time)"
		values+=" $(run_load --port "$api" --plan "$dir/seen.plan" \
		    --seconds $time)"
	done
	stop_floor
	report introspect-seen rate 1/s "$(median <<<"$values")" \
	    "$(median <<<"$floors")" 0.6
}

row_introspect_new() {
	local values='' floors='' i
	fetch_tokens 1 "$dir/other"
	fetch_tokens "$ntokens" "$dir/new"
	check_tokens "$dir/new"
	introspection_answer "$dir/new"
	plan_introspect "$dir/new" "$dir/new.plan"
	plan_introspect "$dir/new" "$dir/floor.plan" --answer "$dir/answer"
	start_floor --mode verify
	for ((i = 0; i < rounds; i++)); do
		# A fresh process has seen none of them; it gets to know the
		# gateway by another token.
		stop "$authd_pid"
		start_authd
		introspection_answer "$dir/other"
		floors+=" $(run_load --port "$floor_port" --exact --plan \
		    "$dir/floor.plan" --seconds $time)"
		values+=" $(run_load --port "$api" --plan "$dir/new.plan" \
		    --once --seconds $time)"
	done
	stop_floor
	report introspect-new rate 1/s "$(median <<<"$values")" \
	    "$(median <<<"$floors")" 0.8
}

row_token_psk() {
	local values='' floors='' i
	fetch_tokens 100 "$dir/some"
	token_answer "$dir/some"
	"$prepare" device-token --out "$dir/floor.plan" --answer \
	    "$dir/answer" || die "plan"
	start_floor --mode sign --psk
	for ((i = 0; i < rounds; i++)); do
		floors+=" $(run_load --port "$floor_port" --exact --plan \
		    "$dir/floor.plan" --identities "$dir/floor.ids" \
		    --seconds $time)"
		values+=" $(run_load --port "$listener" --identities \
		    "$dir/ids" --plan "$dir/device-token.plan" --seconds \
		    $time --save "$dir/psk.$i")"
		check_tokens "$dir/psk.$i"
	done
	stop_floor
	report token-psk rate 1/s "$(median <<<"$values")" \
	    "$(median <<<"$floors")" 0.6
}

row_token_assertion() {
	local values='' floors='' i value
	fetch_tokens 100 "$dir/some"
	token_answer "$dir/some"
	"$prepare" assertions --records "$dir/records" --count 1000 --out \
	    "$dir/floor.plan" --answer "$dir/answer" || die "plan"
	start_floor_pg || die "the floor's PostgreSQL"
	start_floor --mode composite --threads 16 --pg "$pg"
	for ((i = 0; i < rounds; i++)); do
		floors+=" $(run_load --port "$floor_port" --exact --plan \
		    "$dir/floor.plan" --seconds $time)"
		"$prepare" assertions --records "$dir/records" --count \
		    "$nassert" --out "$dir/assert.plan" || die "plan"
		values+=" $(run_load --port "$api" --plan \
		    "$dir/assert.plan" --once --seconds $time --save \
		    "$dir/by-assertion.$i")"
		check_tokens "$dir/by-assertion.$i"
	done
	stop_floor
	value=$(median <<<"$values")
	report token-assertion rate 1/s "$value" "$(median <<<"$floors")" 0.6
	report token-assertion absolute 1/s "$value" 12000 1
}

enrol() { # COUNT: gateways that do not exist yet
	local i
	[ -d "$dir/enrolments" ] || mkdir -m 700 "$dir/enrolments" || return 1
	for ((i = 1; i <= $1; i++)); do
		[ ! -e "$dir/enrolments/$i" ] || continue
		"$ctl" caller create "sim-$i" --role gateway --audiences hub \
		    --enrolment-out "$dir/enrolments/$i" >/dev/null ||
		    return 1
	done
}

revoke_at() { # GATEWAYS: what bench/revoke measures
	enrol "$1" >>"$dir/ctl.log" 2>&1 || die "enrolment"
	"$build/bench/revoke" --port "$api" --gateways "$1" --devices 2 \
	    --count "$revocations" --enrolments "$dir/enrolments" \
	    --credential-file "$FEALTY_CREDENTIAL_FILE" ||
	    touch "$dir/wrong"
}

revoke() { # GATEWAYS METRIC P50 P99; P50 "": only P99 counts
	local out p50 p99
	out=$(revoke_at "$1") || exit 1
	[ -n "$out" ] || out='{"p50_us":0,"p99_us":0}'
	[ -z "$load_pid" ] || stop_other_load
	p50=$(jq '.p50_us / 1000' <<<"$out")
	p99=$(jq '.p99_us / 1000' <<<"$out")
	[ -z "$3" ] || report_least revocation "$2-p50" ms "$p50" \
	    "$(jq '.p50_us / 1000' "$dir/notify")" "$3"
	report_least revocation "$2-p99" ms "$p99" \
	    "$(jq '.p99_us / 1000' "$dir/notify")" "$4"
	[ -n "$smoke" ] || printf '  %s: %s\n' "$2" "$out"
}

# Introspections at a steady rate, of devices that nobody revokes.
start_other_load() {
	local i
	mkdir -m 700 "$dir/others" || die "others"
	for ((i = 3; i <= devices; i++)); do
		cp -r "$dir/records/B$i"* "$dir/others" || die "records"
	done
	mv "$dir/ids" "$dir/ids.all"
	"$prepare" identities --records "$dir/others" --out "$dir/ids" ||
	    die "identities"
	fetch_tokens 1000 "$dir/loaded"
	mv "$dir/ids.all" "$dir/ids"
	plan_introspect "$dir/loaded" "$dir/loaded.plan"
	"$load" --port "$api" --plan "$dir/loaded.plan" --rate 5000 \
	    --connections 16 --seconds 3600s >"$dir/loaded.out" &
	load_pid=$!
}
stop_other_load() { # every answer was right, and there were enough
	local pid=$load_pid
	load_pid=''
	{ kill "$pid" && wait "$pid"; } || touch "$dir/wrong"
	[ -z "$smoke" ] || return 0
	jq -e '.rate >= 4900' "$dir/loaded.out" >/dev/null || {
		echo "bench: too little load: $(cat "$dir/loaded.out")" >&2
		touch "$dir/wrong"
	}
}

row_revocation() {
	local out
	if [ -n "${FEALTY_GATEWAYS-}" ]; then
		out=$(revoke_at "$FEALTY_GATEWAYS") || exit 1
		echo "  $FEALTY_GATEWAYS: $out"
		[ ! -e "$dir/wrong" ] || all_ok=false
		return
	fi
	start_floor_pg || die "the floor's PostgreSQL"
	"$build/bench/notify" "$pg" "$revocations" >"$dir/notify" ||
	    die "COMMIT to NOTIFY"
	revoke "$few" "$few" 2.5 8
	revoke "$many" "$many" 8 20
	start_other_load
	revoke "$many" "$many-load" '' 40
	revoke "$most" "$most" '' 150
}

row_gateway_verify() {
	local out size=() bare
	[ -z "$smoke" ] || size=(--tokens 2000 --entries 2000 --devices 50000
	    --seconds 1s)
	out=$("$build/bench/gwverify" "${size[@]}") || touch "$dir/wrong"
	[ -n "$out" ] ||
	    out='{"bare":0,"first":0,"seen":0,"steady_mib":0,"growing_mib":0}'
	bare=$(jq .bare <<<"$out")
	report gateway-verify first-seen 1/s "$(jq .first <<<"$out")" \
	    "$bare" 0.85
	report gateway-verify seen 1/s "$(jq .seen <<<"$out")" 2000000 1
	# beside: a number and a position for each device, and nothing else
	report_least gateway-verify set-steady MiB \
	    "$(jq .steady_mib <<<"$out")" 15.26 40
	report_least gateway-verify set-grow MiB \
	    "$(jq .growing_mib <<<"$out")" 15.26 60
}

# A line of slots, beside a bare one: what has to be on the disk of station and
# database for a unit, by as many at once. The reach is what a factory wants:
# 500 a second.
row_burn() {
	local values='' floors='' i start fsync bare out slots=16
	start_floor_pg || die "the floor's PostgreSQL"
	"$ctl" order create burn --model M --quantity 1000000 --expires 24h \
	    --peers hub --stations line >>"$dir/ctl.log" 2>&1 || die order
	mkdir -m 700 "$dir/line" "$dir/bare" || die line
	fsync=$("$build/provision-tool/provision-tool" check --order burn \
	    --journal "$dir/journal" --credential-file \
	    "$dir/station.credential" | sed -n 's/.*, fsync //p')
	[ -n "$fsync" ] || touch "$dir/wrong"
	for ((i = 0; i < rounds; i++)); do
		out=$("$build/bench/burnfloor" "$pg" "$dir/bare" "$slots" \
		    "$units") || die "the floor of a burn"
		floors+=" $(jq .rate <<<"$out")"
		seq -f "L$i-%g" 1 "$units" >"$dir/serials"
		start=$EPOCHREALTIME
		"$build/provision-tool/provision-tool" run --order burn \
		    --serials "$dir/serials" --slots "$slots" --target \
		    "file:$dir/line" --journal "$dir/journal" \
		    --credential-file "$dir/station.credential" \
		    >"$dir/burned" 2>>"$dir/burn.log" || touch "$dir/wrong"
		values+=" $(awk -v a="$start" -v b="$EPOCHREALTIME" \
		    -v n="$(grep -c 'active, proof' "$dir/burned")" \
		    'BEGIN {print n / (b - a)}')"
	done
	bare=$(median <<<"$floors")
	report burn rate 1/s "$(median <<<"$values")" "$bare" \
	    "$(awk -v f="$bare" 'BEGIN {printf "%.3f", 500 / f}')"
	echo "  burn: $slots slots, 2 waits for the journal a unit; the disk's" \
	    "fsync $fsync"
}

set_up
echo 'floor: the least a server on this stack must do, in the same run under' \
    'the same load.'
echo 'ratio: value / floor; reach: what the ratio (or, "<=", the value) must' \
    'come to.'
printf '%-16s %-10s %9s %-4s %9s %7s %7s\n' row metric value unit floor \
    ratio reach
for row in "${rows[@]}"; do
	rm -f "$dir/wrong"
	"row_${row//-/_}"
done
if [ -n "$json" ]; then
	jq . <<<"$results" >"$json" || exit 1
fi
[ "$all_ok" = true ]
