#!/bin/sh
# See scripts/check-includes.
exec "${srcdir:-$(dirname "$0")/../..}/scripts/check-includes"
