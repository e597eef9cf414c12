#ifndef STORE_HELD_H
#define STORE_HELD_H

/* Part of store.h: events that gateways hold and this database has lost. */
#include "lib/model/held.h"

struct store;

/*
 * Keeps them, at most STORE_HELD_MAX of different positions. keys: the
 * version of the key set under which they were good; now: that of the present
 * one. Of a position that is there already, under keys of at least now and
 * with another event, the one that was there stays: *conflict is the first
 * such, or 0.
 */
#define STORE_HELD_MAX 512
struct held_keys {
	uint64_t keys, now;
};
enum err store_held_add(struct store *st, const struct event *rows, size_t n,
    const struct held_keys *keys, uint64_t *conflict) MUST_CHECK;
/* The gateway caller has shown that; adds to what it has said before under
 * keys of at least this version. */
struct held_said {
	uint64_t caller, keys, first, last, conflict;
};
enum err store_held_said(struct store *st, const struct held_said *s)
    MUST_CHECK;
/* What it has said under keys of at least this version. ERR_NOT_FOUND. */
enum err store_held_saw(struct store *st, uint64_t caller, uint64_t keys,
    struct held_said *out) MUST_CHECK;
/*
 * Which of the held events count: after a position, under keys of at least a
 * version. In order, at most limit.
 */
struct held_filter {
	uint64_t after, keys;
};
enum err store_held_list(struct store *st, const struct held_filter *f,
    uint32_t limit, struct event *rows, size_t *n) MUST_CHECK;
/* How many, and the newest version of their keys (0: none). */
enum err store_held_count(struct store *st, const struct held_filter *f,
    uint64_t *n, uint64_t *keys) MUST_CHECK;
/* The first max runs of them. */
enum err store_held_runs(struct store *st, const struct held_filter *f,
    struct held_run *rows, size_t max, size_t *n) MUST_CHECK;
/* Who has shown them, by number; at most max. */
enum err store_held_by(struct store *st, const struct held_filter *f,
    struct held_by *rows, size_t max, size_t *n) MUST_CHECK;
/* None is held any more. */
enum err store_held_clear(struct store *st) MUST_CHECK;

#endif
