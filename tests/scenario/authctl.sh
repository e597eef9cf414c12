#!/bin/bash
# authctl against a real authority: what each command answers, what it exits
# with, and where new credentials go.
set -u
src=$(cd "${srcdir:-$(dirname "$0")/../..}" && pwd -P)
build=${FEALTY_BUILD:-$PWD}
ctl=$build/authctl/authctl
dir=$(mktemp -d "${FEALTY_TEST_DIR:-/tmp}/ctl.XXXXXX") || exit 1
chmod 711 "$dir"
n=0 bad=0
unset FEALTY_URL FEALTY_CREDENTIAL_FILE FEALTY_CA_FILE
umask 022

"$build/authd/authd" --embedded "$dir/a" --sql-dir "$src/sql" \
    --listen 127.0.0.1:0 --device-listen 127.0.0.1:0 >"$dir/log" 2>&1 &
authd=$!
# shellcheck disable=SC2317
cleanup() {
	kill "$authd" 2>/dev/null
	wait "$authd"
	[ "$bad" = 0 ] || tail -n 20 "$dir/log"
	rm -rf "$dir"
}
trap cleanup EXIT

verdict() { # STATUS NAME
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' "$dir/out" "$dir/err"
		bad=1
	fi
}
# expects EXIT PATTERN NAME COMMAND...: PATTERN in either output
expects() {
	local want=$1 pattern=$2 name=$3 rc
	shift 3
	"$ctl" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	rc=$?
	[ $rc = "$want" ] && cat "$dir/out" "$dir/err" | grep -qE -- "$pattern"
	verdict $? "$name"
}
one_line() { # the last command said one line on standard error
	[ "$(wc -l <"$dir/err")" = 1 ]
	verdict $? "$1"
}

end=$((SECONDS + 60))
until [ -f "$dir/a/run/ready" ]; do
	if [ $SECONDS -ge $end ] || ! kill -0 $authd 2>/dev/null; then
		tail -n 20 "$dir/log"
		exit 1
	fi
	sleep 0.05
done
port=$(sed -n 's/^api=\(.*:\)\{0,1\}//p' "$dir/a/run/ports")

expects 2 'FEALTY_URL' without_an_url_it_says_how_to_give_one order list
export FEALTY_URL=http://127.0.0.1:$port
expects 2 'FEALTY_CREDENTIAL_FILE' \
    without_a_credential_it_says_how_to_give_one order list
export FEALTY_CREDENTIAL_FILE=$dir/a/keys/admin.credential
expects 2 'no command' an_unknown_command_is_a_usage_error ordre list
expects 2 'no command' an_unknown_subcommand_is_a_usage_error order crate
expects 2 'nope' an_unknown_option_is_a_usage_error order list --nope
expects 2 'NAME' a_missing_argument_is_a_usage_error order show
one_line a_usage_error_is_one_line
expects 3 'try again' an_authority_that_is_not_there_is_to_be_tried_again \
    order list --url http://127.0.0.1:1 --timeout 1s
one_line a_failure_is_one_line
cp "$FEALTY_CREDENTIAL_FILE" "$dir/open"
chmod 644 "$dir/open"
expects 2 '0600' a_credential_others_may_read_is_refused order list \
    --credential-file "$dir/open"
expects 2 'https' plain_http_beyond_loopback_is_refused order list \
    --url http://192.0.2.1:80

expects 0 'hub' audience_set audience set hub 127.0.0.1:4433
expects 0 'hub' audience_list audience list
expects 2 'HOST:PORT' a_malformed_endpoint_is_refused audience set hub 4433
expects 2 'audience name' a_malformed_audience_is_refused \
    audience set HUB 127.0.0.1:4433

expects 2 'credential-out' caller_create_wants_to_know_where_the_secret_goes \
    caller create line1 --role station
expects 0 'line1' caller_create caller create line1 --role station \
    --credential-out "$dir/line1"
! grep -q fc_ "$dir/out" "$dir/err" && grep -q '^fc_' "$dir/line1"
verdict $? a_new_credential_is_written_and_not_shown
[ "$(stat -c %a "$dir/line1")" = 600 ]
verdict $? a_new_credential_is_for_its_owner_only
cp "$dir/line1" "$dir/line1.before"
expects 2 'exists' a_credential_file_is_never_overwritten caller create \
    line2 --role station --credential-out "$dir/line1"
cmp -s "$dir/line1" "$dir/line1.before"
verdict $? the_file_that_was_there_is_as_before
expects 0 '^fc_' a_dash_prints_the_credential caller create line3 \
    --role station --credential-out -
expects 2 'role' an_unknown_role_is_refused caller create x --role king \
    --credential-out "$dir/x"
expects 1 'already_exists' a_taken_name_is_refused caller create line1 \
    --role station --credential-out "$dir/y"
[ ! -e "$dir/y" ]
verdict $? a_refused_caller_leaves_no_file
expects 0 'line3' caller_disable caller disable line3
expects 0 'line1 .*station' caller_list caller list
expects 1 'wrong_role' a_station_makes_no_callers caller create z \
    --role admin --credential-out "$dir/z" --credential-file "$dir/line1"

expects 0 'm1' order_create order create o1 --model m1 --quantity 5 \
    --expires 24h --peers hub --stations line1 --device-id '{model}-{n}'
expects 2 'expires' an_order_without_end_is_refused order create o2 \
    --model m1 --quantity 5 --peers hub
expects 0 'o1 +m1' order_list order list
expects 0 '"model":"m1"' json_is_the_servers order show o1 --json
expects 1 ': no order nothing \(not_found\)$' an_unknown_order_is_named \
    order show nothing
expects 1 ': stations: no caller line9 with role station \(' \
    an_order_for_a_station_that_is_not_there_is_refused order create o3 \
    --model m1 --quantity 5 --expires 24h --peers hub --stations line9

mkdir -m 700 "$dir/burned"
burned=0
for i in 1 2 3; do
	"$build/provision-tool/provision-tool" burn --order o1 \
	    --serial "S$i" --target "file:$dir/burned" \
	    --journal "$dir/journal" --credential-file "$dir/line1" \
	    >"$dir/out" 2>"$dir/err" || burned=1
done
verdict $burned three_devices_are_burned
"$build/provision-tool/provision-tool" burn --order nothing --serial S9 \
    --target "file:$dir/burned" --journal "$dir/journal" \
    --credential-file "$dir/line1" >"$dir/out" 2>"$dir/err"
[ $? = 1 ] && grep -qE '^provision-tool: unit S9: .*: no order nothing '"\
"'\(not_found\)' "$dir/err"
verdict $? a_station_reads_errors_in_the_same_form
expects 0 'm1-3 .*active' device_list device list --state active
expects 0 'after' a_page_names_the_next device list --limit 2
expects 0 'state +active' device_show device show m1-1
expects 0 'state +suspended' device_suspend device suspend m1-1 --reason t
expects 0 'state +active' device_reinstate device reinstate m1-1
expects 1 ': no device m1-9 \(not_found\)$' an_unknown_device_is_named \
    device show m1-9

expects 0 'recall' group_create group create recall
group=$(awk '/^NUMBER/ {print $2}' "$dir/out")
expects 0 'recall' group_list group list
expects 0 "groups .*$group" group_add group add "$group" m1-1
expects 0 'm1-2' group_add_another group add "$group" m1-2
expects 0 'm1-2' group_remove group remove "$group" m1-2

expects 1 'repeat with --expect 1' \
    a_group_is_revoked_only_with_the_number_it_hits revoke "group:$group"
expects 1 'hits 1 devices, not 7' a_wrong_number_does_nothing \
    revoke "group:$group" --expect 7
expects 0 'will hit 1 device' a_group_is_revoked_with_the_right_number \
    revoke "group:$group" --expect 1 --reason t
expects 0 'lift' a_block_is_lifted revoke "group:$group" --expect 1 \
    --effect lift
expects 1 'repeat with --expect 3' a_tenant_takes_its_number revoke tenant
expects 0 'done at position' a_single_device_needs_no_number \
    revoke device:m1-3 --reason t
expects 0 'state +revoked' a_revoked_device_is_shown_as_such device show m1-3
expects 2 'device:ID' an_unknown_target_is_a_usage_error revoke m1-3
expects 2 'effect' an_unknown_effect_is_a_usage_error revoke device:m1-1 \
    --effect maim
expects 0 'done' a_token_is_revoked revoke token:AAAAAAAAAAAAAAAAAAAAAA

expects 0 'verdict +refused' explain_tells_why_a_device_is_refused \
    explain m1-3
expects 0 'POSITION' explain_lists_the_events_that_name_it explain m1-3
if [ -x "$build/examples/device" ]; then
	"$build/examples/device" --record "$dir/burned/m1-1.cbor" token \
	    >"$dir/token" 2>"$dir/err"
	"$ctl" explain - <"$dir/token" >"$dir/out" 2>"$dir/err" &&
	    grep -q 'verdict .*accepted' "$dir/out"
	verdict $? explain_takes_a_token_from_standard_input
	! grep -qF "$(cat "$dir/token")" "$dir/out" "$dir/err"
	verdict $? explain_does_not_repeat_the_token
fi
tool() { # EXIT PATTERN NAME ARGUMENT...: of the station
	local want=$1 pattern=$2 name=$3 rc
	shift 3
	"$build/provision-tool/provision-tool" "$@" --order o1 \
	    --journal "$dir/journal" --credential-file "$dir/line1" \
	    >"$dir/out" 2>"$dir/err"
	rc=$?
	[ $rc = "$want" ] && cat "$dir/out" "$dir/err" | grep -qE -- "$pattern"
	verdict $? "$name"
}
tool 1 'unit S4: write' a_burn_fails_at_the_target burn --serial S4 \
    --target 'exec:false'
tool 0 'o1: 4 of 5 places taken, 1 left, until 20' \
    a_report_says_what_is_left report
grep -qE '4 units begun, 3 done \(75.0 %\), 3 at the first try' "$dir/out"
verdict $? a_report_says_the_yield
grep -qE '^confirm +3 +[0-9]+ +[0-9]+$' "$dir/out"
verdict $? a_report_says_how_long_steps_take
grep -qE '^write +internal +1$' "$dir/out"
verdict $? a_report_says_what_failed_and_why
tool 0 '"left":1,.*"begun":4,"done":3,"first_try":3' \
    a_report_is_read_by_machines report --json
tool 0 'burned m1-4' a_failed_unit_is_burned_with_a_label burn --serial S4 \
    --target "file:$dir/burned" --label zpl
grep -qF 'fealty:m1-4?serial=S4' "$dir/burned/m1-4.zpl"
verdict $? the_label_is_beside_the_record
tool 0 'burned m1-4' a_label_is_made_again burn --serial S4 \
    --target "file:$dir/burned" --label png --label-dir "$dir"
head -c 4 "$dir/m1-4.png" | grep -q PNG
verdict $? a_label_is_an_image
tool 2 'png or zpl' an_unknown_label_is_a_usage_error burn --serial S5 \
    --target "file:$dir/burned" --label pdf
tool 0 '4 done \(100.0 %\), 3 at the first try \(75.0 %\), 0 not done' \
    a_unit_done_later_is_done report
"$ctl" caller create gw1 --role gateway --audiences hub --enrolment-out \
    "$dir/enrol" >"$dir/out" 2>"$dir/err"
expects 0 '4 units of 5' manifest_get manifest get o1 --out "$dir/m" \
    --root-out "$dir/root"
grep -qE '^(keys|page) ' "$dir/m" && [ ! -e "$dir/m.part" ]
verdict $? a_manifest_is_whole_under_its_name
expects 1 'no order o9' a_manifest_of_no_order_is_refused manifest get o9 \
    --out "$dir/m9"
[ ! -e "$dir/m9" ] && [ ! -e "$dir/m9.part" ]
verdict $? a_refused_manifest_leaves_no_file
expects 1 'wrong_role' a_station_gets_no_manifest manifest get o1 --out \
    "$dir/m9" --credential-file "$dir/line1"
offline() { # EXIT PATTERN NAME FILE ROOT: without URL and credential
	local url=$FEALTY_URL credential=$FEALTY_CREDENTIAL_FILE
	unset FEALTY_URL FEALTY_CREDENTIAL_FILE
	expects "$1" "$2" "$3" manifest verify "$4" --root "$5" "${@:6}"
	export FEALTY_URL=$url FEALTY_CREDENTIAL_FILE=$credential
}
offline 0 'order o1, model m1: 4 units of 5' \
    a_manifest_is_checked_offline_by_the_root_key "$dir/m" "$dir/root"
offline 0 '4 units' a_manifest_is_checked_by_an_enrolment "$dir/m" \
    "$dir/enrol"
offline 0 '"serial":"S2","device_id":"m1-2".*"proof":"medium"' \
    a_manifest_lists_its_units "$dir/m" "$dir/root" --json
sed 's/^\(page .*\)A/\1B/' "$dir/m" >"$dir/m2"
offline 1 'line 2: not to be believed' a_changed_manifest_is_refused \
    "$dir/m2" "$dir/root"
one_line a_refused_manifest_is_one_line
head -n 1 "$dir/m" >"$dir/m2"
offline 1 'cut off' a_manifest_cut_off_is_refused "$dir/m2" "$dir/root"
head -c -1 "$dir/m" >"$dir/m2"
offline 1 'line 2' a_manifest_without_its_end_is_refused "$dir/m2" \
    "$dir/root"
offline 2 'neither' a_root_key_that_is_none_is_a_usage_error "$dir/m" "$dir/m"
! grep -qE 'fc_|"k"' "$dir/m" "$dir/root"
verdict $? a_manifest_holds_no_secret
expects 0 'order.manifest' a_manifest_is_audited audit --limit 1000
expects 0 'm4' order_that_takes_returns order create o4 --model m4 \
    --quantity 1 --expires 24h --peers hub --stations line1 \
    --reburn new-epoch-with-approval
back() { # EXIT PATTERN NAME: the unit of o4 is burned
	"$build/provision-tool/provision-tool" burn --order o4 --serial R1 \
	    --target "file:$dir/burned" --journal "$dir/journal" \
	    --credential-file "$dir/line1" >"$dir/out" 2>"$dir/err"
	[ $? = "$1" ] && cat "$dir/out" "$dir/err" | grep -qE -- "$2"
	verdict $? "$3"
}
back 0 'epoch 1' a_unit_is_burned
expects 2 'reason' an_approval_says_why device approve R1
expects 1 'policy of order o1 is until-confirmed' \
    only_where_the_order_says_so_a_unit_comes_back device approve m1-1 \
    --reason returned
back 0 'epoch 1' without_approval_a_unit_stays_what_it_is
expects 0 'pending epoch +2' an_admin_approves device approve R1 \
    --reason returned
back 0 'epoch 2\)' a_unit_that_came_back_gets_its_next_epoch
back 0 'epoch 2\)' burned_again_it_is_done
rm "$dir/burned/R1.cbor"
back 1 'serial_used' an_approval_is_for_one_burn
expects 0 'epoch +2' the_new_epoch_is_in_use device show R1
expects 0 'device.reburn' a_return_is_audited audit --limit 1000
expects 0 'device.*revoke|revoke' audit_shows_the_decisions audit
expects 0 'after' audit_pages audit --limit 1
expects 0 't1' tenant_create tenant create t1 --credential-out "$dir/t1"
expects 0 '^NAME' a_tenant_has_its_own_orders order list \
    --url "$FEALTY_URL/t/t1" --credential-file "$dir/t1"
! grep -q o1 "$dir/out"
verdict $? a_tenant_sees_nothing_of_another
expects 1 'invalid_credential' a_credential_is_of_one_tenant order list \
    --url "$FEALTY_URL/t/t1"
expects 0 'closed +yes' order_close order close o1
echo "1..$n"
exit $bad
