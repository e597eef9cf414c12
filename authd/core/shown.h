#ifndef CORE_SHOWN_H
#define CORE_SHOWN_H

#include "authd/core/core_internal.h"

/*
 * What others show us of a tenant's signed messages, verified: under the
 * present feed keys, or those of a key set that the database has lost. Errors
 * but of shown_keys: those of set_verify; d says what.
 */

/*
 * A key set of ours with a version that the database never gave: it was lost
 * with the rest; without the feed keys that were revoked here since.
 * ERR_REQUEST: not ours. ERR_EXISTS for one that is not newer than the
 * present: an older one would bring back keys that were revoked.
 */
enum err shown_keys(struct core_call *call, const char *text,
    struct keyset *out, struct detail *d) MUST_CHECK;
/* The version of the present key set, as this process knows it. */
uint64_t shown_version(const struct core_tenant *t);
/* lost: as of shown_keys, or one without feed: none is. */
enum err shown_beat(const struct core_tenant *t, const struct keyset *lost,
    const char *text, size_t len, struct heartbeat *out, struct detail *d)
    MUST_CHECK;
/* A run of events, or a part of a snapshot: then with gaps between them. */
enum err shown_set(const struct core_tenant *t, const struct keyset *lost,
    const char *text, struct set_run *out, struct detail *d) MUST_CHECK;

#define SHOWN_MAX 200000 /* events of one recovery */
struct event_list {
	struct event *rows;
	size_t n, cap;
};
/* ERR_TOO_LARGE beyond SHOWN_MAX. */
enum err event_list_add(struct event_list *l, const struct event *rows,
    size_t n) MUST_CHECK;
void event_list_sort(struct event_list *l); /* by position */

/* Which held events count beside a database with that head. */
enum err held_filter(struct store *st, uint64_t head, struct held_filter *f)
    MUST_CHECK;
/* All of these, in the place of what is in the list. */
enum err held_read(struct store *st, const struct held_filter *f,
    struct event_list *l) MUST_CHECK;

/* The same event at the same position. */
int event_same(const struct event *a, const struct event *b);
/* Position 0 of the generation that pos is in. */
uint64_t generation_of(uint64_t pos);

#endif
