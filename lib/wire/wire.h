#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include <jansson.h>
#include <stdint.h>
#include "lib/base/buf.h"
#include "lib/base/secret.h"

/*
 * JSON helpers of the message families (the jansson code). A decoder takes
 * the text of one object, refuses unknown members, wrong types and duplicate
 * names, fills d with the member at fault, and writes *out only on success.
 * An encoder appends one object to out, members in a fixed order.
 *
 * Memory of jansson is wiped when freed: call wire_init first in main.
 */
void wire_init(void);

#define JIN_MEMBERS_MAX 32
/* One reading of an object; errors stick, so check once at the end. */
struct jin {
	json_t *o;
	struct detail *d;
	enum err err;
	unsigned seen; /* members taken, for the check of unknown ones */
	const char *taken[JIN_MEMBERS_MAX];
};
void jin_open(struct jin *in, const char *text, size_t len,
    struct detail *d);
/* The same of a value parsed before; it stays the caller's. */
void jin_value(struct jin *in, json_t *o, struct detail *d);
/*
 * A nested object as a reading of its own, which jin_close finishes and
 * whose faults become those of in.
 */
void jin_object(struct jin *in, const char *name, struct jin *child);
void jin_close(struct jin *in, struct jin *child);
void jin_str(struct jin *in, const char *name, char *out, size_t size);
void jin_opt_str(struct jin *in, const char *name, char *out, size_t size);
void jin_u64(struct jin *in, const char *name, uint64_t max, uint64_t *out);
void jin_opt_u64(struct jin *in, const char *name, uint64_t max,
    uint64_t *out);
void jin_u32(struct jin *in, const char *name, uint32_t max, uint32_t *out);
void jin_opt_bool(struct jin *in, const char *name, int *out);
/* octets as base64url, exactly len of them */
void jin_octets(struct jin *in, const char *name, void *out, size_t len);
/* RFC 3339 time */
void jin_time(struct jin *in, const char *name, int64_t *out);
/* array of texts into rows of size octets */
void jin_opt_strs(struct jin *in, const char *name, void *rows, size_t size,
    uint32_t max, uint32_t *n);
/* array of objects: borrowed, length in *n; NULL and 0 after a fault */
json_t *jin_array(struct jin *in, const char *name, size_t max, size_t *n);
/* array of numbers */
void jin_u32s(struct jin *in, const char *name, uint32_t *rows, uint32_t max,
    uint32_t *n);
/* A member of any type, borrowed until jin_done; NULL if absent. */
json_t *jin_any(struct jin *in, const char *name);
/* Mark a fault of the caller's own. */
void jin_fail(struct jin *in, enum err e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Frees; ERR_JSON for a fault or an unknown member. */
enum err jin_done(struct jin *in) MUST_CHECK;

/* Appends the compact text of o and releases it. NULL o: ERR_NOMEM. */
enum err jout(json_t *o, struct buf *out) MUST_CHECK;
/* Values for encoders; NULL without memory, as json_pack then says as well. */
json_t *jout_octets(const void *p, size_t len);
json_t *jout_time(int64_t unix_s);
json_t *jout_strs(const void *rows, size_t size, uint32_t n);
json_t *jout_u32s(const uint32_t *rows, uint32_t n);

#endif
