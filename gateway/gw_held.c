#include <stdlib.h>
#include <string.h>
#include "gateway/gw_held.h"

/*
 * The newest signed events, as they came: an authority whose database has
 * lost them can have them back from us. Bounded in number and octets, the
 * oldest go; not those below the floor, since a backup may be older than it
 * and blocks hold on. The authority verifies them again, so nothing here need
 * be believed.
 */
#define HELD_MESSAGES 4096
#define HELD_OCTETS ((size_t)4 << 20)
#define HELD_SNAPSHOT ((size_t)1 << 20) /* a larger one is not kept */
#define BODY_SETS ((size_t)512 << 10)	/* octets of events in a request */
#define AGAIN_MS 100
#define AGAIN_MAX_MS 10000
#define NOTHING_LOST_MS 5000
#define STILL_MS 60000 /* whether the authority still has what we showed */

struct message {
	struct message *older, *newer;
	uint64_t seq, last; /* last: the highest position in it */
	size_t len;
	char text[];
};
struct held {
	pthread_mutex_t lock;
	struct message *oldest, *newest;
	size_t n, octets;
	uint64_t seq;
	_Atomic bool wanted; /* the authority seems to know less than we do */
	_Atomic int64_t next; /* tick ms */
	/* the chores' */
	bool shown;
	unsigned failures, seed;
};

enum err
held_new(struct held **out)
{
	struct held *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return (ERR_NOMEM);
	pthread_mutex_init(&h->lock, NULL);
	h->seed = (unsigned)gw_tick_us() ^ (unsigned)(uintptr_t)h;
	*out = h;
	return (ERR_OK);
}

static void
drop_oldest(struct held *h)
{
	struct message *m = h->oldest;

	if ((h->oldest = m->newer) != NULL)
		h->oldest->older = NULL;
	else
		h->newest = NULL;
	h->n--;
	h->octets -= m->len;
	free(m);
}

void
held_free(struct held **h)
{
	if (*h == NULL)
		return;
	while ((*h)->oldest != NULL)
		drop_oldest(*h);
	pthread_mutex_destroy(&(*h)->lock);
	free(*h);
	*h = NULL;
}

static void
append(struct held *h, struct message *m)
{
	m->seq = ++h->seq;
	if ((m->older = h->newest) != NULL)
		m->older->newer = m;
	else
		h->oldest = m;
	h->newest = m;
	h->n++;
	h->octets += m->len;
	while (h->n > HELD_MESSAGES || h->octets > HELD_OCTETS)
		drop_oldest(h);
}

void
held_note(struct held *h, const char *text, size_t len, uint64_t last)
{
	struct message *m;

	/* without it no event is lost here, only a chance to help */
	if ((m = calloc(1, sizeof(*m) + len)) == NULL)
		return;
	m->last = last;
	m->len = len;
	memcpy(m->text, text, len);
	pthread_mutex_lock(&h->lock);
	append(h, m);
	pthread_mutex_unlock(&h->lock);
}

void
held_snapshot(struct held *h, const json_t *parts, uint64_t head)
{
	size_t i, n = json_array_size(parts), octets = 0;
	const json_t *part;

	for (i = 0; i < n; i++)
		octets += json_string_length(json_array_get(parts, i));
	if (octets > HELD_SNAPSHOT)
		return;
	for (i = 0; i < n; i++) {
		part = json_array_get(parts, i);
		held_note(h, json_string_value(part),
		    json_string_length(part), head);
	}
}

/* ---- showing it ---- */

void
held_refused(struct held *h, enum err e)
{
	if (e == ERR_NOT_READY || e == ERR_BACKWARDS)
		atomic_store(&h->wanted, true);
}

void
held_caught_up(struct held *h)
{
	atomic_store(&h->wanted, false);
	atomic_store(&h->next, 0);
}

bool
held_due(struct held *h)
{
	return (atomic_load(&h->wanted) &&
	    gw_tick() >= atomic_load(&h->next));
}

/* {"seen","keys","events":[ : the texts are base64url and dots alone. */
static enum err
begin(struct fealty_gateway *g, struct buf *body)
{
	struct follow *f = g->follow;
	enum err e;

	buf_reset(body);
	pthread_mutex_lock(&f->beat_lock);
	e = f->beat_text[0] == '\0' ? buf_str(body, "{") :
	    buf_fmt(body, "{\"seen\":\"%s\",", f->beat_text);
	pthread_mutex_unlock(&f->beat_lock);
	pthread_rwlock_rdlock(&g->keys_lock);
	if (e == ERR_OK && g->keys_text.len > 0)
		e = buf_str(body, "\"keys\":\"");
	if (e == ERR_OK && g->keys_text.len > 0)
		e = buf_add(body, g->keys_text.p, g->keys_text.len);
	if (e == ERR_OK && g->keys_text.len > 0)
		e = buf_str(body, "\",");
	pthread_rwlock_unlock(&g->keys_lock);
	return (e == ERR_OK ? buf_str(body, "\"events\":[") : e);
}

static enum err
add_message(struct buf *body, const struct message *m, bool first)
{
	enum err e = buf_str(body, first ? "\"" : ",\"");

	if (e == ERR_OK)
		e = buf_add(body, m->text, m->len);
	return (e == ERR_OK ? buf_str(body, "\"") : e);
}

/*
 * Newest first, those before *seq that have something after `after`, as many
 * as there is room for, max at most; *seq: the oldest of them. *n: how many.
 */
static enum err
add_messages(struct held *h, struct buf *body, uint64_t after, size_t max,
    uint64_t *seq, size_t *n)
{
	const struct message *m;
	size_t octets = 0;
	enum err e = ERR_OK;

	*n = 0;
	pthread_mutex_lock(&h->lock);
	for (m = h->newest; e == ERR_OK && m != NULL && *n < max;
	    m = m->older) {
		if (m->seq >= *seq || m->last <= after)
			continue;
		if (*n > 0 && octets + m->len > BODY_SETS)
			break;
		octets += m->len;
		e = add_message(body, m, *n == 0);
		*seq = m->seq;
		(*n)++;
	}
	pthread_mutex_unlock(&h->lock);
	return (e == ERR_OK ? buf_str(body, "]}") : e);
}

static enum err
post(struct link *l, const struct buf *body, uint64_t *after, int *known)
{
	struct buf answer = {.max = 4096};
	struct problem why = {.err = ERR_OK};
	struct detail d = {""};
	uint64_t conflict;
	struct jin in;
	enum err e;

	e = link_call(l, "POST", "/v1/recover/held", body, &answer, &why);
	if (e == ERR_OK) {
		jin_open(&in, answer.p, answer.len, &d);
		jin_u64(&in, "after", NUMBER_MAX, after);
		jin_opt_bool(&in, "known", known);
		jin_u64(&in, "conflict", NUMBER_MAX, &conflict);
		e = jin_done(&in);
	}
	buf_free(&answer);
	return (e);
}

/* All that is asked for, in as many requests as it takes. */
static enum err
show_rest(struct fealty_gateway *g, struct link *l, struct buf *body,
    uint64_t after)
{
	uint64_t seq = UINT64_MAX;
	size_t n = 1;
	int known;
	enum err e = ERR_OK;

	for (unsigned i = 0; e == ERR_OK && i < HELD_MESSAGES; i++) {
		e = begin(g, body);
		if (e == ERR_OK)
			e = add_messages(g->held, body, after, HELD_MESSAGES,
			    &seq, &n);
		if (e == ERR_OK && n == 0)
			break;
		if (e == ERR_OK)
			e = post(l, body, &after, &known);
	}
	return (e);
}

/*
 * First the heartbeat and the newest events alone: what the authority then
 * asks for it has lost, and perhaps it has had the rest from us already.
 */
static enum err
show(struct fealty_gateway *g, struct link *l)
{
	struct buf body = {.max = (size_t)1000 << 10};
	struct held *h = g->held;
	uint64_t seq = UINT64_MAX, after = 0;
	int known = 0;
	size_t n;
	enum err e;

	e = begin(g, &body);
	if (e == ERR_OK)
		e = add_messages(h, &body, 0, 1, &seq, &n);
	if (e == ERR_OK)
		e = post(l, &body, &after, &known);
	if (e == ERR_OK && !(h->shown && known)) {
		e = show_rest(g, l, &body, after);
		h->shown = e == ERR_OK;
		if (e == ERR_OK)
			gw_note(g, FEALTY_WARNING, "shown to the authority "
			    "what it has lost", e, NULL);
	}
	buf_free(&body);
	return (e);
}

static int64_t
pause_after(struct held *h, enum err e)
{
	int64_t step;

	if (e == ERR_OK || (!err_retryable(e) && e != ERR_WRONG_STATE)) {
		h->failures = 0;
		return (STILL_MS);
	}
	if (e == ERR_WRONG_STATE)
		return (NOTHING_LOST_MS);
	step = AGAIN_MS << (h->failures < 7 ? h->failures++ : 7);
	if (step > AGAIN_MAX_MS)
		step = AGAIN_MAX_MS;
	return (step / 2 + rand_r(&h->seed) % step);
}

void
held_show(struct fealty_gateway *g, struct link *l)
{
	enum err e = show(g, l);

	if (e != ERR_OK && e != ERR_WRONG_STATE && g->held->failures == 0)
		gw_note(g, FEALTY_WARNING, "lost events not shown", e, NULL);
	atomic_store(&g->held->next, gw_tick() + pause_after(g->held, e));
}

/* ---- across a restart ---- */

struct kept {
	uint64_t last;
	uint32_t len;
};

enum err
held_save(struct held *h, struct buf *out)
{
	const struct message *m;
	struct kept k;
	size_t room = out->max - out->len, need;
	enum err e = ERR_OK;

	pthread_mutex_lock(&h->lock);
	need = h->octets + h->n * sizeof(k);
	for (m = h->oldest; e == ERR_OK && m != NULL; m = m->newer) {
		/* what must be there has come first; of this, the newest */
		if (need > room) {
			need -= m->len + sizeof(k);
			continue;
		}
		memset(&k, 0, sizeof(k));
		k.last = m->last;
		k.len = (uint32_t)m->len;
		e = buf_add(out, &k, sizeof(k));
		if (e == ERR_OK)
			e = buf_add(out, m->text, m->len);
	}
	pthread_mutex_unlock(&h->lock);
	return (e);
}

enum err
held_load(struct held *h, const char *p, size_t left)
{
	struct kept k;

	while (left > 0) {
		if (left < sizeof(k))
			return (ERR_REQUEST);
		memcpy(&k, p, sizeof(k));
		p += sizeof(k);
		left -= sizeof(k);
		if (k.len > left || k.len > SET_MAX)
			return (ERR_REQUEST);
		held_note(h, p, k.len, k.last);
		p += k.len;
		left -= k.len;
	}
	return (ERR_OK);
}
