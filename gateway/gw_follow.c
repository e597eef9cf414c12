#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/gw_held.h"

/*
 * The follower of an enrolled gateway: it holds one stream to one authd, and
 * goes to the next when that ends, falls silent, says what does not verify or
 * leaves a gap. While there is no stream it asks.
 */
#define WAIT_MS 250	 /* between looks at the clock */
#define SILENCE_MS 3500	 /* a heartbeat is due each second */
#define BEHIND_MS 1500	 /* events a heartbeat knew have not come */
#define BACKOFF_MS 50
#define BACKOFF_MAX_MS 5000
#define NO_STREAM_MS 30000 /* an authd that has none may learn it */
#define EXPIRY_MS 10000
#define POKE_MS 20 /* between questions that were asked for */
#define GAPS_MAX 2 /* then a snapshot */

static enum err
on_message(void *arg, const struct sse_message *m)
{
	int64_t heard_us = gw_tick_us();
	struct fealty_gateway *g = arg;
	struct follow *f = g->follow;
	uint64_t pos = revset_position(atomic_load(&g->set));
	int64_t beat = f->beat.time_ms;
	enum err e = ERR_OK;

	if (strcmp(m->event, "revocations") == 0)
		e = follow_run_text(g, m->data, m->len, heard_us);
	else if (strcmp(m->event, "heartbeat") == 0)
		e = follow_beat_text(g, m->data, m->len);
	else if (strcmp(m->event, "keys") == 0)
		e = keyset_adopt(g, m->data, m->len);
	else if (strcmp(m->event, "bye") == 0)
		return (ERR_NOT_READY);
	else
		return (ERR_OK); /* of a later version */
	if (e == ERR_OK) {
		f->spoke = true;
		f->failures = 0;
	}
	/* what we have heard before is as good as silence */
	if (e == ERR_OK && (beat != f->beat.time_ms ||
	    pos != revset_position(atomic_load(&g->set))))
		f->spoke_at = heard_us / 1000;
	gw_round_over(g);
	return (e);
}

enum err
follow_new(struct fealty_gateway *g, const struct link_conf *conf,
    struct follow **out)
{
	struct stream_conf sc = {
		.ca_file = conf->ca_file,
		.credential = conf->credential,
		.connect_ms = conf->timeout_ms,
		.message_max = SET_MAX,
		.message = on_message,
		.arg = g,
	};
	struct link_conf patient = *conf;
	struct follow *f;
	enum err e;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return (ERR_NOMEM);
	f->seed = (unsigned)gw_tick_us() ^ (unsigned)(uintptr_t)f;
	f->snapshot = true;
	pthread_mutex_init(&f->beat_lock, NULL);
	patient.timeout_ms = 60000;
	patient.answer_max = (size_t)256 << 20;
	e = link_open(&f->bulk, &patient);
	for (uint32_t i = 0; e == ERR_OK && i < conf->nurls; i++) {
		sc.url = conf->urls[i];
		if ((e = stream_new(&sc, &f->stream[i])) == ERR_OK)
			f->n++;
	}
	if (e != ERR_OK)
		follow_free(&f);
	else
		*out = f;
	return (e);
}

void
follow_free(struct follow **fp)
{
	struct follow *f = *fp;

	if (f == NULL)
		return;
	for (uint32_t i = 0; i < f->n; i++)
		stream_free(&f->stream[i]);
	link_close(&f->bulk);
	pthread_mutex_destroy(&f->beat_lock);
	free(f);
	*fp = NULL;
}

void
follow_wake(struct follow *f)
{
	/* which one it waits for is its own business */
	for (uint32_t i = 0; i < f->n; i++)
		stream_wake(f->stream[i]);
}

static enum err
start_stream(struct fealty_gateway *g)
{
	struct follow *f = g->follow;
	unsigned long long pos = revset_position(atomic_load(&g->set));
	char path[64], last[64], seen[BEAT_MAX + 32];
	const char *headers[] = {last, NULL, NULL};
	enum err e;

	snprintf(path, sizeof(path), "/v1/revocations?after=%llu", pos);
	snprintf(last, sizeof(last), "Last-Event-ID: %llu", pos);
	if (f->beat_text[0] != '\0') {
		snprintf(seen, sizeof(seen), "Fealty-Seen: %s", f->beat_text);
		headers[1] = seen;
	}
	e = stream_start(f->stream[f->current], path, headers);
	f->running = e == ERR_OK;
	f->spoke = false;
	f->spoke_at = gw_tick();
	return (e);
}

/* Every gateway of an authd that stops loses it at the same moment. */
static int64_t
pause_after(struct follow *f, unsigned failures)
{
	int64_t step = BACKOFF_MS << (failures < 7 ? failures : 7);

	if (step > BACKOFF_MAX_MS)
		step = BACKOFF_MAX_MS;
	return (step / 2 + rand_r(&f->seed) % step);
}

/* The stream is over; when the next one begins. */
static void
stream_over(struct fealty_gateway *g, enum err e)
{
	struct follow *f = g->follow;
	int64_t pause;

	stream_stop(f->stream[f->current]);
	f->running = f->spoke = false;
	f->behind = 0;
	if (e == ERR_AHEAD && ++f->gaps >= GAPS_MAX)
		f->snapshot = true;
	/* the same one again can fill a gap */
	if (e != ERR_AHEAD)
		f->current = (f->current + 1) % f->n;
	pause = pause_after(f, f->failures);
	if (e == ERR_NOT_FOUND && f->n == 1)
		pause = NO_STREAM_MS;
	f->next_try = gw_tick() + pause;
	f->failures++;
	f->last = e;
	held_refused(g->held, e);
	gw_note(g, FEALTY_INFO, "stream ended", e, NULL);
}

static void
run_stream(struct fealty_gateway *g)
{
	struct follow *f = g->follow;
	struct problem why = {.err = ERR_OK};
	int64_t now;
	enum err e;

	e = stream_run(f->stream[f->current], WAIT_MS, &why);
	now = gw_tick();
	if (e == ERR_OK && now - f->spoke_at > SILENCE_MS)
		e = ERR_TIMEOUT;
	if (e == ERR_OK && f->behind != 0 && now - f->behind > BEHIND_MS)
		e = ERR_AHEAD;
	if (e != ERR_OK)
		stream_over(g, e);
	else if (f->spoke && f->behind == 0)
		f->gaps = 0;
}

static void
ask(struct fealty_gateway *g)
{
	struct follow *f = g->follow;
	enum err e;

	e = follow_poll(g);
	if (e == ERR_AHEAD)
		f->snapshot = true;
	f->last = e;
	held_refused(g->held, e);
	f->next_poll = gw_tick() + g->poll_ms;
	gw_round_over(g);
}

/*
 * A snapshot is dear to who makes it: it is not asked for again at once. One
 * that is older than what is known is of no use, nor is there need of one
 * then; the stream shows such an authority what we have seen.
 */
static void
take_snapshot(struct fealty_gateway *g)
{
	struct follow *f = g->follow;

	if (gw_tick() < f->next_snapshot)
		return;
	f->last = follow_snapshot(g);
	f->snapshot = f->last != ERR_OK &&
	    (f->last != ERR_BACKWARDS || f->base == 0);
	if (f->last == ERR_OK)
		f->gaps = f->refused = 0;
	else
		f->next_snapshot = gw_tick() + pause_after(f, f->refused++);
	gw_round_over(g);
}

/* false: there is nothing to follow with yet. */
static bool
prepared(struct fealty_gateway *g)
{
	struct follow *f = g->follow;
	bool keys;

	pthread_rwlock_rdlock(&g->keys_lock);
	keys = g->feed_keys != NULL;
	pthread_rwlock_unlock(&g->keys_lock);
	if (atomic_load(&g->set) == NULL || !keys) {
		f->last = atomic_load(&f->chores_err);
		return (false);
	}
	if (f->snapshot)
		take_snapshot(g);
	return (!f->snapshot);
}

static void
step(struct fealty_gateway *g)
{
	struct follow *f = g->follow;
	int64_t now = gw_tick(), next;

	if (!prepared(g)) {
		if (f->last != ERR_OK)
			gw_tell_touch(g, f->last);
		(void)gw_pause(g, gw_tick() + BACKOFF_MS);
		return;
	}
	if (!f->running && now >= f->next_try && start_stream(g) != ERR_OK)
		stream_over(g, ERR_NOMEM);
	if (f->running)
		run_stream(g);
	/* one that is being connected to has said nothing yet */
	if (!f->spoke && gw_tick() >= f->next_poll &&
	    (!f->running || gw_tick() - f->spoke_at > WAIT_MS))
		ask(g);
	gw_tell_touch(g, f->spoke ? ERR_OK : f->last);
	if (f->running)
		return;
	next = f->next_try < f->next_poll ? f->next_try : f->next_poll;
	/* somebody waits for what is new */
	if (gw_pause(g, next))
		f->next_poll -= g->poll_ms > POKE_MS ? g->poll_ms - POKE_MS :
		    0;
}

static void
expire(struct fealty_gateway *g)
{
	struct revset *set = atomic_load(&g->set);
	struct follow *f = g->follow;

	if (set == NULL || gw_tick() < f->next_expiry)
		return;
	revset_expire(set, gw_wall_s(g));
	f->next_expiry = gw_tick() + EXPIRY_MS;
}

void *
follow_thread(void *gateway)
{
	struct fealty_gateway *g = gateway;

	g->in_touch = true; /* so that a failure at the start is told */
	while (!gw_stopping(g)) {
		chores_start_due(g);
		gw_used_kick(g);
		step(g);
		expire(g);
		gw_end_stale(g);
	}
	if (g->follow->running)
		stream_stop(g->follow->stream[g->follow->current]);
	return (NULL);
}
