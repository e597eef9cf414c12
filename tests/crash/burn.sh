#!/bin/bash
# The burn, cut off anywhere, as often as you like.
#   tests/crash/burn.sh [--rounds N] [--seed S] [--kind KIND] [--authd]
# --rounds  of each kind of target, of lines, or of the authority (25)
# --seed    goes the same way again (else random; printed)
# --kind    file, env, text, image, esp-nvs or exec alone; line: units side
#           by side
# --authd   authd and its database are killed, not the tool
# The programs are those of FEALTY_BUILD (the current folder), made there by
# "make check TESTS=".
set -u
tests=tests/crash/test_burn
usage() {
	sed -n '2,10s/^# \{0,1\}//p' "$0"
	exit 2
}
while [ $# -gt 0 ]; do
	case $1 in
	--rounds | --seed | --kind) [ $# -ge 2 ] || usage ;;&
	--rounds) CRASH_ROUNDS=$2 ;;&
	--seed) CRASH_SEED=$2 ;;&
	--kind) CRASH_KIND=$2 ;;&
	--rounds | --seed | --kind) shift 2 ;;
	--authd)
		tests=tests/crash/test_authd
		shift
		;;
	*) usage ;;
	esac
done
: "${CRASH_ROUNDS=25}"
export CRASH_ROUNDS
[ -z "${CRASH_SEED+x}" ] || export CRASH_SEED
[ -z "${CRASH_KIND+x}" ] || export CRASH_KIND
cd "${FEALTY_BUILD:-.}" || exit 2
exec "$tests"
