#include "authd/core/feed_hub.h"

#include <stdlib.h>
#include <string.h>

struct feed_hub {
	pthread_mutex_t lock;
	struct feed_message *ring[HUB_MESSAGES];
	uint64_t first, end; /* sequence numbers of what is in it */
	size_t octets;
	uint64_t last; /* event */
	struct feed_message *keys;
	uint64_t version;
	struct feed_sub *subs;
	_Atomic unsigned nsubs;
	unsigned slice[HUB_SLICES]; /* how many are in it */
};

enum err
message_new(enum feed_kind kind, uint64_t id, const char *text, size_t len,
    struct feed_message **out)
{
	struct feed_message *m = calloc(1, sizeof(*m) + len + 1);

	if (m == NULL)
		return ERR_NOMEM;
	atomic_init(&m->refs, 1);
	m->kind = kind;
	m->id = id;
	m->len = len;
	memcpy(m->text, text, len);
	*out = m;
	return ERR_OK;
}

struct feed_message *
message_hold(struct feed_message *m)
{
	atomic_fetch_add(&m->refs, 1);
	return m;
}

void
feed_message_free(struct feed_message **pm)
{
	struct feed_message *m = *pm;

	*pm = NULL;
	if (m != NULL && atomic_fetch_sub(&m->refs, 1) == 1)
		free(m);
}

enum feed_kind
feed_message_kind(const struct feed_message *m)
{
	return m->kind;
}

uint64_t
feed_message_id(const struct feed_message *m)
{
	return m->id;
}

const char *
feed_message_text(const struct feed_message *m, size_t *len)
{
	*len = m->len;
	return m->text;
}

enum err
feed_hub_new(struct feed_hub **out)
{
	struct feed_hub *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return ERR_NOMEM;
	if (pthread_mutex_init(&h->lock, NULL) != 0) {
		free(h);
		return ERR_NOMEM;
	}
	*out = h;
	return ERR_OK;
}

static struct feed_message **
place(struct feed_hub *h, uint64_t seq)
{
	return &h->ring[seq % HUB_MESSAGES];
}

static void
drop_first(struct feed_hub *h)
{
	struct feed_message **m = place(h, h->first);

	h->octets -= (*m)->len;
	feed_message_free(m);
	h->first++;
}

void
feed_hub_free(struct feed_hub **ph)
{
	struct feed_hub *h = *ph;

	if (h == NULL)
		return;
	while (h->first < h->end)
		drop_first(h);
	feed_message_free(&h->keys);
	pthread_mutex_destroy(&h->lock);
	free(h);
	*ph = NULL;
}

unsigned
feed_hub_listeners(const struct feed_hub *h)
{
	return atomic_load(&h->nsubs);
}

uint64_t
feed_hub_last(struct feed_hub *h)
{
	uint64_t last;

	pthread_mutex_lock(&h->lock);
	last = h->last;
	pthread_mutex_unlock(&h->lock);
	return last;
}

int
feed_hub_has(struct feed_hub *h, unsigned slice)
{
	int has;

	pthread_mutex_lock(&h->lock);
	has = h->slice[slice] > 0;
	pthread_mutex_unlock(&h->lock);
	return has;
}

#define ALL HUB_SLICES

/* With the lock held, as all below that are static. Beside those whose wait
 * is over, in a slice or in all, those that have fallen off the ring. */
static void
wake_all(struct feed_hub *h, int events, unsigned slice)
{
	struct feed_sub *s;
	int behind;

	for (s = h->subs; s != NULL; s = s->next) {
		behind = s->joined && !s->cut && s->seq < h->first;
		s->cut |= behind;
		if ((!s->waiting || (s->only_events && !events) ||
		    (slice != ALL && slice != s->slice)) && !behind)
			continue;
		s->waiting = 0;
		s->wake(s->arg, s->cut);
	}
}

static void
append(struct feed_hub *h, struct feed_message *m)
{
	if (h->nsubs == 0) {
		feed_message_free(&m);
		return;
	}
	while (h->first < h->end && (h->end - h->first == HUB_MESSAGES ||
	    h->octets + m->len > HUB_OCTETS))
		drop_first(h);
	*place(h, h->end++) = m;
	h->octets += m->len;
}

void
feed_hub_events(struct feed_hub *h, struct feed_message *m, uint64_t last)
{
	pthread_mutex_lock(&h->lock);
	h->last = last;
	if (m != NULL)
		append(h, m);
	wake_all(h, 1, ALL);
	pthread_mutex_unlock(&h->lock);
}

void
feed_hub_beat(struct feed_hub *h, struct feed_message *m, unsigned slice)
{
	pthread_mutex_lock(&h->lock);
	m->slice = slice;
	append(h, m);
	wake_all(h, 0, slice);
	pthread_mutex_unlock(&h->lock);
}

void
feed_hub_keys(struct feed_hub *h, struct feed_message *m, uint64_t version)
{
	pthread_mutex_lock(&h->lock);
	if (version > h->version) {
		feed_message_free(&h->keys);
		h->keys = m;
		h->version = version;
		m = NULL;
		wake_all(h, 0, ALL);
	}
	pthread_mutex_unlock(&h->lock);
	feed_message_free(&m);
}

/* Where the fewest are; nowhere, who wants no heartbeats. */
static void
enter_slice(struct feed_hub *h, struct feed_sub *s)
{
	unsigned i;

	s->slice = s->only_events ? ALL : 0;
	for (i = 1; s->slice != ALL && i < HUB_SLICES; i++)
		if (h->slice[i] < h->slice[s->slice])
			s->slice = i;
	if (s->slice != ALL)
		h->slice[s->slice]++;
}

enum err
feed_hub_join(struct feed_hub *h, struct feed_sub *s)
{
	enum err e = ERR_BUSY;

	pthread_mutex_lock(&h->lock);
	if (h->nsubs < HUB_LISTENERS) {
		s->hub = h;
		s->prev = NULL;
		s->next = h->subs;
		if (h->subs != NULL)
			h->subs->prev = s;
		h->subs = s;
		h->nsubs++;
		enter_slice(h, s);
		e = ERR_OK;
	}
	pthread_mutex_unlock(&h->lock);
	return e;
}

void
feed_hub_leave(struct feed_sub *s)
{
	struct feed_hub *h = s->hub;

	pthread_mutex_lock(&h->lock);
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		h->subs = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	h->nsubs--;
	if (s->slice != ALL)
		h->slice[s->slice]--;
	while (h->nsubs == 0 && h->first < h->end)
		drop_first(h);
	pthread_mutex_unlock(&h->lock);
}

/*
 * Where the ring takes up a cursor: at its end when nothing is missing, else
 * at the message whose run begins right behind it. 0: it does not.
 */
static int
take_up(const struct feed_hub *h, struct feed_sub *s)
{
	const struct feed_message *m;
	uint64_t i;

	s->seq = h->end;
	if (s->cursor >= h->last)
		return 1;
	for (i = h->first; i < h->end; i++) {
		m = h->ring[i % HUB_MESSAGES];
		if (m->kind != FEED_EVENTS || m->after > s->cursor ||
		    m->first <= s->cursor)
			continue;
		s->seq = i;
		return 1;
	}
	return 0;
}

/* The next of the ring for one who has joined. */
static enum feed_next
from_ring(struct feed_hub *h, struct feed_sub *s, struct feed_message **out)
{
	struct feed_message *m;

	for (; s->seq < h->end; s->seq++) {
		m = *place(h, s->seq);
		if (m->kind == FEED_EVENTS ? m->last <= s->cursor :
		    m->slice != s->slice)
			continue;
		/* A run that does not follow: what is between is missing. */
		if (m->kind == FEED_EVENTS &&
		    (m->after > s->cursor || m->first <= s->cursor)) {
			s->joined = 0;
			return FEED_FILL;
		}
		if (m->kind == FEED_EVENTS)
			s->cursor = m->last;
		s->seq++;
		*out = message_hold(m);
		return FEED_MESSAGE;
	}
	if (s->cursor >= h->last)
		return FEED_NONE;
	s->joined = 0;
	return FEED_FILL;
}

static enum feed_next
next_locked(struct feed_hub *h, struct feed_sub *s, struct feed_message **out)
{
	if (s->joined && s->seq < h->first)
		s->cut = 1;
	if (s->cut)
		return FEED_END;
	/* No key signs for one who has not been told of it. */
	if (s->version != h->version) {
		s->version = h->version;
		*out = message_hold(h->keys);
		return FEED_MESSAGE;
	}
	if (!s->joined) {
		if (!take_up(h, s))
			return FEED_FILL;
		s->joined = 1;
	}
	return from_ring(h, s, out);
}

enum feed_next
feed_hub_next(struct feed_sub *s, struct feed_message **out)
{
	enum feed_next n;

	pthread_mutex_lock(&s->hub->lock);
	n = next_locked(s->hub, s, out);
	pthread_mutex_unlock(&s->hub->lock);
	return n;
}

void
feed_hub_arm(struct feed_sub *s)
{
	struct feed_hub *h = s->hub;

	pthread_mutex_lock(&h->lock);
	if (s->cursor < h->last || (!s->only_events && (s->cut ||
	    !s->joined || s->seq < h->end || s->version != h->version)))
		s->wake(s->arg, s->cut);
	else
		s->waiting = 1;
	pthread_mutex_unlock(&h->lock);
}
