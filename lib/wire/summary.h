#ifndef WIRE_SUMMARY_H
#define WIRE_SUMMARY_H

#include "lib/wire/wire.h"
#include "lib/model/order.h"

/*
 * What an order has come to: {"states":{"reserved":N,…},"unproven":N,
 * "voids":[{"reason","units"}]} (docs/api.md).
 */
json_t *wire_summary_json(const struct order_summary *s);
enum err wire_summary_decode(const char *s, size_t len,
    struct order_summary *out, struct detail *d) MUST_CHECK;

#endif
