#!/bin/bash
# Installs what is needed, builds and runs every test.
#   tests/run.sh [GROUP...]    without: every group, in the order below
# Environment: JOBS (default: the processors), KEEP=1 keeps the build
# directory and prints its name.
# Ends with one line "N passed, N failed, N skipped"; exit 1 if any failed.
set -u
umask 022

top=$(cd "$(dirname "$0")/.." && pwd -P)
all_groups="packages build unit contract fault scenario crash table fuzz lint
 docs bench quickstart install"
jobs=${JOBS:-$(nproc)}
passed=0 failed=0 skipped=0
failures=()

usage() {
	echo "usage: tests/run.sh [GROUP...]; groups:" $all_groups >&2
	exit 2
}
groups=("$@")
[ ${#groups[@]} -gt 0 ] || read -r -d '' -a groups <<<"$all_groups"
for g in "${groups[@]}"; do
	case " ${all_groups//$'\n'/ } " in
	*" $g "*) ;;
	*) usage ;;
	esac
done

# Builds go where there is room; sockets into a short private directory that
# another user (the one PostgreSQL runs as) can pass through.
work=$(mktemp -d "${TMPDIR:-/tmp}/fealty-build.XXXXXX") || exit 1
FEALTY_TEST_DIR=$(mktemp -d /tmp/fe.XXXXXX) || exit 1
chmod 711 "$work" "$FEALTY_TEST_DIR"
export FEALTY_TEST_DIR
export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=abort_on_error=0:detect_leaks=1:exitcode=99
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
unset FEALTY_URL FEALTY_CREDENTIAL_FILE FEALTY_CA_FILE MAKEFLAGS
unset PGHOST PGPORT PGDATA PGUSER PGDATABASE
src=$work/src asan=$work/asan plain=$work/plain within=$work/within

cleanup() {
	if [ "${KEEP-}" = 1 ]; then
		echo "kept: $work $FEALTY_TEST_DIR"
	else
		rm -rf "$work" "$FEALTY_TEST_DIR"
	fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

fail() { # NAME: counts one failed case
	failed=$((failed + 1))
	failures+=("$1")
	echo "FAILED $1"
}

# Counts the cases of one test from its TAP; $1 name, $2 exit, $3 output.
count() {
	local name=$1 rc=$2 out=$3 plan ok notok skips bad line
	plan=$(sed -n 's/^1\.\.\([0-9][0-9]*\)$/\1/p' "$out" |
	    awk '{n += $1} END {print n + 0}')
	skips=$(grep -cE '^(not )?ok .*# SKIP' "$out")
	ok=$(grep -E '^ok ' "$out" | grep -vc '# SKIP')
	notok=$(grep -E '^not ok ' "$out" | grep -vc '# SKIP')
	if [ "$plan" = 0 ] && [ $((ok + notok + skips)) = 0 ]; then
		plan=1
		[ "$rc" != 0 ] || ok=1
	fi
	bad=$((plan - ok - skips))
	[ "$bad" -ge "$notok" ] || bad=$notok
	[ "$rc" = 0 ] || [ "$bad" -gt 0 ] || bad=1
	passed=$((passed + ok))
	failed=$((failed + bad))
	while read -r line; do
		[ -n "$line" ] || continue
		line=${line##* }
		if grep -q "^${line}[[:space:]]" "$top/tests/skips.txt"; then
			skipped=$((skipped + 1))
		else
			fail "$name: $line skipped without a reason on file"
		fi
	done < <(grep -E '^(not )?ok .*# SKIP' "$out")
	if [ "$bad" -gt 0 ]; then
		failures+=("$name ($bad, exit $rc)")
		echo "FAILED $name (exit $rc); its output:"
		sed 's/^/    /' "$out" | tail -n 200
	fi
}

# Runs one test within its time: $1 name, $2 seconds, rest the command.
run() {
	local name=$1 limit=$2 out rc
	shift 2
	out=$work/out.$$
	"$within" "$limit" "$@" >"$out" 2>&1 </dev/null
	rc=$?
	[ $rc != 124 ] || echo "timed out after $limit s" >>"$out"
	count "$name" $rc "$out"
	rm -f "$out"
}

# A step that is one case; its output is shown only if it fails.
step() {
	local name=$1 limit=$2 out=$work/step.$$
	shift 2
	if "$within" "$limit" "$@" >"$out" 2>&1 </dev/null; then
		passed=$((passed + 1))
		rm -f "$out"
		return 0
	fi
	fail "$name"
	tail -n 60 "$out" | sed 's/^/    /'
	rm -f "$out"
	return 1
}

limit_of() { # seconds a test of this kind may take
	case $1 in
	tests/scenario/* | tests/crash/*) echo 400 ;;
	tests/contract/* | tests/fault/* | tests/table/*) echo 240 ;;
	*) echo 120 ;;
	esac
}

copy_source() {
	mkdir -p "$src" || return 1
	if git -C "$top" rev-parse -q --git-dir >/dev/null 2>&1; then
		(cd "$top" && git ls-files -z -co --exclude-standard |
		    while IFS= read -r -d '' f; do
			    [ ! -e "$f" ] || printf '%s\0' "$f"
		    done | tar -c --null -T - -f -) | tar -x -C "$src" -f -
	else
		tar -C "$top" -c --exclude=./.git --exclude='./build*' . |
		    tar -x -C "$src"
	fi
}

configure_and_make() { # DIR FLAGS... : everything but running tests
	local dir=$1
	shift
	mkdir -p "$dir" && cd "$dir" && "$src/configure" -q "$@" &&
	    make -s -j"$jobs" all && make -s -j"$jobs" check TESTS=
}

build_one() { # NAME DIR FLAGS...
	local name=$1
	shift
	step "build: $name" 900 bash -c "$(declare -f configure_and_make)
	    src='$src' jobs='$jobs'; configure_and_make \"\$@\"" - "$@"
}

ready=
prepare() { # the builds that every group stands on, once
	[ -z "$ready" ] || [ "$ready" = yes ] || return 1
	[ -z "$ready" ] || return 0
	ready=no
	local begun=$SECONDS
	echo "building twice, with sanitizers and without, in $work"
	copy_source || { fail "build: copy of the source"; return 1; }
	mkdir -p "$work/bin"
	cc -O1 -o "$within" "$src/tests/helpers/within.c" ||
	    { fail "build: within"; return 1; }
	step "build: autogen" 120 "$src/autogen.sh" || return 1
	build_one sanitizers "$asan" CFLAGS='-g -O1' \
	    --enable-sanitizers=address,undefined || return 1
	build_one plain "$plain" CFLAGS='-g -O2' || return 1
	echo "built in $((SECONDS - begun)) s"
	ready=yes
}

tests_of() { # GROUP: the registered tests of it
	local pattern="^tests/$1/"
	[ "$1" != unit ] || pattern='^(tests/unit/|tests/vectors/|device/|lib/)'
	[ "$1" != fuzz ] || pattern='^fuzz/'
	[ "$1" != docs ] || pattern='^tests/(docs|check)/'
	make -s -C "$asan" print-tests | grep -E "$pattern"
}

run_registered() { # GROUP
	local t program
	cd "$asan" || return
	for t in $(tests_of "$1"); do
		program=$asan/$t
		[ -x "$program" ] || program=$src/$t
		run "$t" "$(limit_of "$t")" env srcdir="$src" \
		    FEALTY_BUILD="$asan" "$program"
	done
}

# Every registered test is in a group that runs it.
check_all_grouped() {
	local stray
	stray=$(make -s -C "$asan" print-tests | grep -vE \
	    '^(tests/(unit|vectors|contract|fault|scenario|crash|table|lint|docs|check)/|fuzz/|device/|lib/)')
	[ -z "$stray" ] || fail "tests outside every group: $stray"
}

group_packages() {
	if "$top/scripts/packages" install; then
		passed=$((passed + 1))
	else
		fail packages
		finish
	fi
}
group_build() { prepare && check_all_grouped; }
group_bench() {
	run bench-smoke 600 env FEALTY_BUILD="$plain" "$src/bench/run.sh" \
	    --smoke
}
group_quickstart() {
	run quickstart 180 env FEALTY_BUILD="$plain" FEALTY_NO_PACKAGES=1 \
	    "$src/examples/quickstart.sh"
}
group_install() {
	run install 240 env FEALTY_BUILD="$plain" "$src/scripts/check-install"
}

finish() {
	local f
	for f in ${failures[@]+"${failures[@]}"}; do
		echo "failed: $f"
	done
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
	exit
}

for g in "${groups[@]}"; do
	start=$SECONDS before=$((passed + failed + skipped))
	if [ "$g" != packages ] && ! prepare; then
		finish
	fi
	case $g in
	packages | build | bench | quickstart | install) "group_$g" ;;
	*) run_registered "$g" ;;
	esac
	# The builds were counted with the group that first needed them.
	[ "$g" = build ] || [ $((passed + failed + skipped)) -gt $before ] ||
	    fail "$g: a group without a test"
	echo "$g: $((passed + failed + skipped - before)) cases in" \
	    "$((SECONDS - start)) s"
done
finish
