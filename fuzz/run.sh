#!/bin/sh
# usage: fuzz/run.sh [TARGET]...    SECONDS=60 of each, with libFuzzer (clang)
# What is new goes to OUT (fuzz-out); add what is worth keeping to
# fuzz/corpus/TARGET by `fuzz/run.sh merge TARGET`.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
out=${OUT:-fuzz-out}
secs=${SECONDS_EACH:-${SECONDS:-60}}
[ "$secs" -gt 0 ] 2>/dev/null || secs=60
mode=run
[ "${1:-}" = merge ] && { mode=merge; shift; }
[ $# -gt 0 ] || set -- record token jwks assertion pskid jwe wire base revoke serial
mkdir -p "$out"
pkgs="jansson libcbor libcrypto cjose libjwt"

build() { # NAME FILE
	${CC:-clang} -g -O1 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=all -DTARGET="fuzz_$1" \
	    -I"$top" -I"$top/device/include" $(pkg-config --cflags $pkgs) \
	    "$top"/fuzz/driver.c "$top/fuzz/$2" \
	    "$top"/lib/base/*.c "$top"/lib/model/*.c "$top"/lib/wire/*.c \
	    "$top"/lib/jose/*.c "$top"/lib/crypt/*.c "$top"/lib/revoke/*.c \
	    "$top"/device/*.c "$top"/provision-tool/serial_line.c \
	    "$top"/tests/helpers/serial_device.c \
	    $(pkg-config --libs $pkgs) -lpthread -o "$out/fuzz_$1"
}

for t in "$@"; do
	case $t in
	token | jwks | assertion | jwe) file=fuzz_jose.c ;;
	pskid | base) file=fuzz_base.c ;;
	*) file=fuzz_$t.c ;;
	esac
	build "$t" "$file"
	mkdir -p "$out/$t"
	if [ $mode = merge ]; then
		"$out/fuzz_$t" -merge=1 "$top/fuzz/corpus/$t" "$out/$t"
		continue
	fi
	"$out/fuzz_$t" -max_total_time="$secs" -timeout=10 -max_len=5000 \
	    -print_final_stats=1 -artifact_prefix="$out/$t-" \
	    "$out/$t" "$top/fuzz/corpus/$t"
done
