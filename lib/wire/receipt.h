#ifndef WIRE_RECEIPT_H
#define WIRE_RECEIPT_H

#include "lib/wire/wire.h"
#include "lib/model/receipt.h"

/* Receipts of revocations: docs/feed.md. */

/* The body of POST /v1/receipts. */
enum err wire_receipt_encode(const struct receipt *r, struct buf *out)
    MUST_CHECK;
enum err wire_receipt_decode(const char *s, size_t len, struct receipt *out,
    struct detail *d) MUST_CHECK;

/* The answer about one event. */
enum err wire_receipt_report_encode(const struct receipt_report *r,
    struct buf *out) MUST_CHECK;

#endif
