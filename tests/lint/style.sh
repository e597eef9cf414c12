#!/bin/sh
# See scripts/check-style.
exec "${srcdir:-$(dirname "$0")/../..}/scripts/check-style"
