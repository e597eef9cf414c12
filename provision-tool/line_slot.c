#include "provision-tool/line_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "provision-tool/spec.h"
#include "provision-tool/stats.h"
#include "provision-tool/tell.h"

#define FIRST_PAUSE_MS 200
#define LAST_PAUSE_MS 2000

enum err
line_target(const struct line_conf *c, unsigned slot, const char *serial,
	    struct target **out, struct detail *d)
{
	char number[16], half[JOURNAL_TARGET_MAX + 1],
	    spec[JOURNAL_TARGET_MAX + 1];

	(void)snprintf(number, sizeof(number), "%u", slot);
	if (spec_fill(c->st->target, "{slot}", number, half, sizeof(half)) !=
		ERR_OK ||
	    spec_fill(half, "{serial}", serial, spec, sizeof(spec)) !=
		ERR_OK) {
		detail_set(d, "the target's name is too long");
		return ERR_REQUEST;
	}
	return target_open(spec, out, d);
}

/* To line_run: the progress or the queue has changed. */
static void
poke(const struct line *l)
{
	const uint64_t one = 1;

	(void)!write(l->wake, &one, sizeof(one));
}

static int
in_hand(const struct line *l, const char *serial)
{
	unsigned i;

	for (i = 0; i < l->conf->slots; i++)
		if (strcmp(l->slots[i].serial, serial) == 0)
			return 1;
	return 0;
}

/*
 * The first that may go here, with the lock. A unit scanned twice waits until
 * it is out of the other slot's hand.
 */
static int
take(struct slot *s, struct unit *out)
{
	struct line *l = s->line;
	struct unit *u;
	size_t i;

	for (i = 0; i < l->queued; i++) {
		u = &l->queue[i];
		if ((u->slot != 0 && u->slot != s->number) ||
		    in_hand(l, u->serial))
			continue;
		*out = *u;
		memmove(u, u + 1, (l->queued - i - 1) * sizeof(*u));
		l->queued--;
		memcpy(s->serial, out->serial, sizeof(s->serial));
		l->p.hand++;
		return 1;
	}
	return 0;
}

/* 1 when it is time for another try, 0 when the line is to stop. */
static int
pause_ms(struct line *l, int64_t ms)
{
	struct timespec until;
	int go;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	(void)pthread_mutex_lock(&l->lock);
	while (!l->stop && pthread_cond_timedwait(&l->news, &l->lock,
						  &until) != ETIMEDOUT)
		;
	go = !l->stop;
	(void)pthread_mutex_unlock(&l->lock);
	return go;
}

/* No unit behind this one would fare better. */
static void
end_line(struct line *l, const char *why)
{
	(void)pthread_mutex_lock(&l->lock);
	if (l->why == NULL)
		l->why = why;
	l->stop = 1;
	(void)pthread_cond_broadcast(&l->news);
	(void)pthread_mutex_unlock(&l->lock);
}

static void
judge(struct line *l, enum err e, const struct burn *b)
{
	if (b->unnoted)
		end_line(l, "the journal cannot be written: mend that");
	else if (e == ERR_CREDENTIAL || e == ERR_ROLE || e == ERR_SCOPE ||
		 e == ERR_STATION)
		end_line(l, "the authority does not take this station: "
			    "provision-tool check");
}

/*
 * The burn, and again while the trouble passes. Each try goes on from the
 * journal; what it keeps of the try before is where its results go.
 */
static enum err
burn_patiently(struct slot *s, struct burn *b)
{
	const struct burn fresh = *b;
	struct line *l = s->line;
	int64_t now = clock_mono_ms(&clock_system), pause = FIRST_PAUSE_MS;
	int64_t end = now + (int64_t)l->conf->wait_ms;
	enum err e;

	for (;;) {
		*b = fresh;
		e = burn_run(b);
		if (!b->halted)
			stats_note(l->conf->st, b, e);
		now = clock_mono_ms(&clock_system);
		if (e == ERR_OK || !err_retryable(e) || b->halted ||
		    burn_at_target(b->step))
			break;
		if (now >= end && b->away)
			end_line(l, "the trouble does not pass");
		if (now >= end)
			break;
		if (pause > end - now)
			pause = end - now;
		if (!pause_ms(l, pause))
			break;
		pause = pause * 2 > LAST_PAUSE_MS ? LAST_PAUSE_MS : pause * 2;
	}
	if (e != ERR_OK)
		judge(l, e, b);
	return e;
}

static void
from_journal(const struct journal_entry *entry, struct burn *b)
{
	struct device *dev = &b->device;

	memcpy(dev->device_id, entry->device_id, sizeof(dev->device_id));
	memcpy(dev->order, entry->order, sizeof(dev->order));
	memcpy(dev->serial, entry->serial, sizeof(dev->serial));
	dev->epoch = entry->epoch;
	dev->dn = entry->dn;
	b->unit = *entry;
}

/* One that is there is of the same device, and says the same. */
static enum err
put_label(const struct line *l, const char *target, struct burn *b)
{
	b->step = "label";
	if (label_there(l->conf->label, target, &b->device))
		return ERR_OK;
	return label_write(l->conf->label, target, &b->device, &b->detail);
}

static enum err
burn_unit(struct slot *s, const struct unit *u, struct burn *b, int *before)
{
	struct line *l = s->line;
	struct journal_entry entry;
	enum err e;

	b->step = "serial";
	if (u->fault != NULL) {
		detail_set(&b->detail, "%s", u->fault);
		return ERR_NAME;
	}
	b->step = "target";
	e = line_target(l->conf, s->number, u->serial, &b->target, &b->detail);
	if (e != ERR_OK)
		return e;
	if (!l->conf->again &&
	    burn_before(l->journal, u->serial, b->target, &entry)) {
		from_journal(&entry, b);
		*before = 1;
		return put_label(l, entry.target, b);
	}
	b->client = s->client;
	b->journal = l->journal;
	b->order = l->conf->st->order;
	b->serial = u->serial;
	b->halt = &l->halt;
	e = burn_patiently(s, b);
	journal_unclaim(l->journal, u->serial);
	return e == ERR_OK ? put_label(l, target_name(b->target), b) : e;
}

static void
tell(struct line *l, const struct told *t)
{
	int bad = 0;

	if (l->terminal)
		(void)fputs("\r\033[K", stderr);
	if (t->e != ERR_OK)
		tell_failure(t);
	if (l->conf->json)
		bad = tell_json(t);
	else if (t->e == ERR_OK)
		bad = tell_burned(t);
	if (bad)
		end_line(l, "standard output cannot be written");
}

static void
settle(struct slot *s, const struct told *t)
{
	struct line *l = s->line;

	(void)pthread_mutex_lock(&l->lock);
	l->p.hand--;
	if (t->e == ERR_OK)
		l->p.done++;
	else
		l->p.failed++;
	l->p.before += t->before && t->e == ERR_OK;
	if (t->e != ERR_OK && tell_exit(t->e) == 1)
		l->refused++;
	else if (t->e != ERR_OK)
		l->again++;
	s->serial[0] = '\0';
	(void)pthread_cond_broadcast(&l->news);
	(void)pthread_mutex_unlock(&l->lock);
}

static void
work(struct slot *s, const struct unit *u)
{
	int64_t start = clock_mono_ms(&clock_system);
	struct burn b = {0};
	struct told t = {.serial = u->serial, .slot = s->number,
			 .detail = &b.detail, .device = &b.device};

	t.e = burn_unit(s, u, &b, &t.before);
	t.step = b.step;
	t.resumed = b.resumed;
	t.halted = b.halted;
	t.target = t.before ? b.unit.target :
		   b.target == NULL ? "" : target_name(b.target);
	t.ms = (uint64_t)(clock_mono_ms(&clock_system) - start);
	tell(s->line, &t);
	settle(s, &t);
	target_close(&b.target);
}

void *
slot_main(void *arg)
{
	struct slot *s = arg;
	struct line *l = s->line;
	struct unit u;

	(void)pthread_mutex_lock(&l->lock);
	while (!l->stop) {
		if (take(s, &u)) {
			(void)pthread_mutex_unlock(&l->lock);
			poke(l);
			work(s, &u);
			poke(l);
			(void)pthread_mutex_lock(&l->lock);
		} else if (l->fed && l->queued == 0) {
			break;
		} else {
			(void)pthread_cond_wait(&l->news, &l->lock);
		}
	}
	(void)pthread_mutex_unlock(&l->lock);
	poke(l);
	return NULL;
}
