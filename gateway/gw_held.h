#ifndef GATEWAY_GW_HELD_H
#define GATEWAY_GW_HELD_H

#include "gateway/gw_int.h"

/* Signed events, kept for an authority that loses them: docs/feed.md. */
struct held;
enum err held_new(struct held **out) MUST_CHECK;
void held_free(struct held **h);
/* One message with events up to last. */
void held_note(struct held *h, const char *text, size_t len, uint64_t last);
/* The parts (texts) of a snapshot, unless there is too much of it. */
void held_snapshot(struct held *h, const json_t *parts, uint64_t head);
/* The authority has refused us; it has caught up with what we know. */
void held_refused(struct held *h, enum err e);
void held_caught_up(struct held *h);
/* Whether what is held is to be shown now; and showing it. */
bool held_due(struct held *h);
void held_show(struct fealty_gateway *g, struct link *l);
/* As many of the newest as there is room for. */
enum err held_save(struct held *h, struct buf *out) MUST_CHECK;
enum err held_load(struct held *h, const char *p, size_t left) MUST_CHECK;

#endif
