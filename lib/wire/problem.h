#ifndef WIRE_PROBLEM_H
#define WIRE_PROBLEM_H

#include "lib/wire/wire.h"

/* Errors on the wire: RFC 9457 and RFC 6749 section 5.2. */
enum err wire_problem_encode(enum err e, const struct detail *d,
    const char *request_id, struct buf *out) MUST_CHECK;
/* The same with one more member, "devices" (ERR_EXPECT). */
enum err wire_problem_devices_encode(enum err e, const struct detail *d,
    const char *request_id, uint64_t devices, struct buf *out) MUST_CHECK;
/* server_time 0: left out. */
enum err wire_oauth_error_encode(enum err e, const struct detail *d,
    int64_t server_time, struct buf *out) MUST_CHECK;
/* RFC 6749 error code of e: "invalid_client", "invalid_request", … */
const char *oauth_error(enum err e);

struct problem {
	enum err err; /* from code; by status when there is none */
	char detail[256];
	char request_id[33];
	uint64_t devices;
};
/*
 * Never fails: an unreadable body gives what the status says. A detail that
 * says no more than err_text is left out.
 */
void wire_problem_decode(int status, const char *s, size_t len,
    struct problem *out);

#endif
