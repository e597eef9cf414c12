#!/bin/bash
# Every command and option of the command lines is in their completion.
set -u
top=${srcdir:-$(dirname "$0")/../..}
build=${FEALTY_BUILD:-.}
file=$top/scripts/completion/fealty
bad=0

bash -n "$file" || exit 1
check() { # PROGRAM WORD...
	local program=$1 word
	shift
	[ $# -gt 0 ] || { echo "$program names nothing"; bad=1; }
	for word; do
		grep -qE "(^|[ \"])$word($|[ \"])" \
		    <(sed -n "/^_$program()/,/^}/p" "$file") ||
		    { echo "$program: $word is not completed"; bad=1; }
	done
}
# Long options, as the help of opt_help prints them.
options() {
	grep -oE '^ {2,6}(-[A-Za-z], )? *--[a-z0-9-]+' |
	    grep -oE -- '--[a-z0-9-]+' | sort -u
}

# shellcheck disable=SC2046
check authctl $("$build/authctl/authctl" --commands | tr ' ' '\n' | sort -u) \
    $("$build/authctl/authctl" --options | sort -u)
tool=$build/provision-tool/provision-tool
commands=$("$tool" help | sed -n 's/^  \([a-z-]\{3,\}\) .*/\1/p')
# shellcheck disable=SC2086,SC2046
check provision_tool $commands \
    $(for c in $commands; do "$tool" "$c" --help | options; done)
# shellcheck disable=SC2046
check authd $("$build/authd/authd" --help | options)
# shellcheck disable=SC2046
check fealty_agent $("$build/gateway/agent/fealty-agent" --help | options)
exit $bad
