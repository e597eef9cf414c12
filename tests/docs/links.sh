#!/bin/sh
# See scripts/check-docs.
exec "${srcdir:-$(dirname "$0")/../..}/scripts/check-docs"
