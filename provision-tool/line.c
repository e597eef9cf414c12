#include "provision-tool/line_int.h"

#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "provision-tool/cmd.h"
#include "provision-tool/tell.h"

#define DRAW_TERMINAL_MS 200
#define DRAW_PLAIN_MS 10000

/* What line_run alone has. */
struct run_state {
	struct line l;
	struct feed *feed;
	int signals; /* signalfd */
	int asked;   /* how often a signal said to stop */
	struct meter meter;
	int64_t started, drawn;
};

/* --- what the line stands on ------------------------------------------- */

enum err
line_name_slot(const struct line_conf *c, struct slot *slots, unsigned number,
	       struct target **out, struct detail *d)
{
	struct slot *s = &slots[number - 1];
	struct target *t = NULL;
	unsigned i;
	enum err e;

	e = line_target(c, number, "0", &t, d);
	if (e != ERR_OK)
		return e;
	s->number = number;
	(void)snprintf(s->name, sizeof(s->name), "%s", target_name(t));
	for (i = 0; e == ERR_OK && i + 1 < number; i++) {
		if (target_is_many(t) || strcmp(slots[i].name, s->name) != 0)
			continue;
		detail_set(d, "slots %u and %u are the same place: write "
			      "{slot} in it", i + 1, number);
		e = ERR_REQUEST;
	}
	if (e == ERR_OK)
		*out = t;
	else
		target_close(&t);
	return e;
}

static enum err
open_slots(struct line *l, const char **step, struct detail *d)
{
	struct target *t = NULL;
	struct slot *s;
	unsigned i;
	enum err e = ERR_OK;

	l->slots = calloc(l->conf->slots, sizeof(*l->slots));
	if (l->slots == NULL)
		return ERR_NOMEM;
	for (i = 0; e == ERR_OK && i < l->conf->slots; i++) {
		s = &l->slots[i];
		s->line = l;
		*step = "target";
		e = line_name_slot(l->conf, l->slots, i + 1, &t, d);
		target_close(&t);
		if (e == ERR_OK)
			e = station_client(l->conf->st, 0, &s->client, step,
					   d);
	}
	/* with {serial} in it, that was nobody's name */
	for (i = 0; strstr(l->conf->st->target, "{serial}") != NULL &&
		    i < l->conf->slots; i++)
		l->slots[i].name[0] = '\0';
	return e;
}

/* Signals are taken by line_run alone, in its own time. */
static enum err
open_signals(struct run_state *r)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)signal(SIGPIPE, SIG_IGN);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return ERR_IO;
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r->l.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return r->signals < 0 || r->l.wake < 0 ? ERR_IO : ERR_OK;
}

static enum err
open_line(struct run_state *r, const char **step, struct detail *d)
{
	struct line *l = &r->l;
	enum err e;

	*step = "signals";
	if ((e = open_signals(r)) != ERR_OK)
		return e;
	*step = "journal";
	if ((e = station_journal(l->conf->st, &l->journal, d)) != ERR_OK ||
	    (e = journal_index(l->journal)) != ERR_OK)
		return e;
	return open_slots(l, step, d);
}

static void
close_line(struct run_state *r)
{
	struct line *l = &r->l;
	unsigned i;

	for (i = 0; l->slots != NULL && i < l->conf->slots; i++)
		client_free(&l->slots[i].client);
	free(l->slots);
	journal_close(&l->journal);
	if (r->signals >= 0)
		(void)close(r->signals);
	if (l->wake >= 0)
		(void)close(l->wake);
	(void)pthread_cond_destroy(&l->news);
	(void)pthread_mutex_destroy(&l->lock);
}

/* --- while it runs ----------------------------------------------------- */

/* The slot a unit was in when an earlier run was cut off holds it still. */
static void
find_slot(const struct line *l, struct unit *u)
{
	struct journal_entry last;
	unsigned i;

	if (u->slot != 0 || u->fault != NULL ||
	    strstr(l->conf->st->target, "{slot}") == NULL ||
	    journal_last(l->journal, u->serial, &last) != ERR_OK)
		return;
	for (i = 0; i < l->conf->slots; i++)
		if (strcmp(l->slots[i].name, last.target) == 0)
			u->slot = i + 1;
}

static void
queue_unit(struct line *l, struct unit *u)
{
	if (u->slot > l->conf->slots) {
		u->slot = 0;
		u->fault = "there is no such slot";
	}
	find_slot(l, u);
	(void)pthread_mutex_lock(&l->lock);
	l->queue[l->queued++] = *u;
	(void)pthread_cond_broadcast(&l->news);
	(void)pthread_mutex_unlock(&l->lock);
}

static int
has_room(struct line *l)
{
	int room;

	(void)pthread_mutex_lock(&l->lock);
	room = l->queued < LINE_QUEUE && !l->stop;
	(void)pthread_mutex_unlock(&l->lock);
	return room;
}

static void
end_feed(struct line *l, const char *why)
{
	(void)pthread_mutex_lock(&l->lock);
	l->fed = 1;
	if (why != NULL && l->why == NULL)
		l->why = why;
	(void)pthread_cond_broadcast(&l->news);
	(void)pthread_mutex_unlock(&l->lock);
}

/* All that is at hand, and one reading more if there is something. */
static void
take_feed(struct run_state *r, int readable)
{
	struct unit u;

	for (;;) {
		while (has_room(&r->l) && feed_next(r->feed, &u))
			queue_unit(&r->l, &u);
		if (feed_over(r->feed))
			end_feed(&r->l, NULL);
		if (!readable || !has_room(&r->l) || feed_over(r->feed))
			return;
		readable = 0;
		if (feed_fill(r->feed) != ERR_OK) {
			end_feed(&r->l, "the serial numbers cannot be read");
			return;
		}
	}
}

static void
take_signal(struct run_state *r)
{
	struct signalfd_siginfo info;
	struct line *l = &r->l;
	uint64_t hand;

	if (read(r->signals, &info, sizeof(info)) != sizeof(info))
		return;
	r->asked++;
	if (r->asked > 1)
		atomic_store(&l->halt, 1);
	(void)pthread_mutex_lock(&l->lock);
	l->stop = 1;
	hand = l->p.hand;
	(void)pthread_cond_broadcast(&l->news);
	(void)pthread_mutex_unlock(&l->lock);
	(void)fprintf(stderr, "%sprovision-tool: %s %llu in hand%s\n",
		      l->terminal ? "\r\033[K" : "",
		      r->asked > 1 ? "rolling back what is not alive of" :
				     "stopping: finishing",
		      (unsigned long long)hand,
		      r->asked > 1 ? "" : "; once more rolls them back");
}

static struct progress
look(struct line *l, int *ended)
{
	struct progress p;

	(void)pthread_mutex_lock(&l->lock);
	p = l->p;
	*ended = p.hand == 0 && (l->stop || (l->fed && l->queued == 0));
	(void)pthread_mutex_unlock(&l->lock);
	return p;
}

static void
draw(struct run_state *r, const struct progress *p, int last)
{
	int64_t now = clock_mono_ms(&clock_system);
	int every = r->l.terminal ? DRAW_TERMINAL_MS : DRAW_PLAIN_MS;
	char text[PROGRESS_TEXT];

	meter_sample(&r->meter, p, now);
	if (last && r->l.terminal)
		(void)fputs("\r\033[K", stderr);
	if (last || now - r->drawn < every)
		return;
	r->drawn = now;
	progress_text(p, meter_rate(&r->meter, p, now), text);
	if (r->l.terminal)
		(void)fprintf(stderr, "\r\033[K%s", text);
	else
		(void)fprintf(stderr, "provision-tool: %s\n", text);
}

static void
attend(struct run_state *r)
{
	struct line *l = &r->l;
	struct pollfd p[3];
	struct progress now;
	uint64_t news;
	int ended, feeding;

	for (;;) {
		now = look(l, &ended);
		draw(r, &now, ended);
		if (ended)
			return;
		feeding = !l->fed && has_room(l);
		p[0] = (struct pollfd){r->signals, POLLIN, 0};
		p[1] = (struct pollfd){l->wake, POLLIN, 0};
		p[2] = (struct pollfd){feeding ? feed_fd(r->feed) : -1,
				       POLLIN, 0};
		(void)poll(p, 3, l->terminal ? DRAW_TERMINAL_MS : 1000);
		if (p[0].revents != 0)
			take_signal(r);
		if (p[1].revents != 0)
			(void)!read(l->wake, &news, sizeof(news));
		if (!l->fed)
			take_feed(r, p[2].revents != 0);
	}
}

/* --- the end ----------------------------------------------------------- */

static int
sum_up(const struct run_state *r)
{
	const struct line *l = &r->l;
	const struct progress *p = &l->p;
	int64_t ms = clock_mono_ms(&clock_system) - r->started;
	int cut = l->queued > 0 || !l->fed || l->why != NULL;

	(void)fprintf(stderr,
		      "provision-tool: %llu done (%llu before), %llu refused, "
		      "%llu to try again, in %lld.%03d s%s\n",
		      (unsigned long long)p->done,
		      (unsigned long long)p->before,
		      (unsigned long long)l->refused,
		      (unsigned long long)l->again, (long long)(ms / 1000),
		      (int)(ms % 1000),
		      cut ? "; stopped before the end: run the same command "
			    "again" : "");
	if (l->why != NULL)
		(void)fprintf(stderr, "provision-tool: %s\n", l->why);
	if (r->asked > 0 && (cut || l->again > 0))
		return TRY_AGAIN;
	if (l->refused > 0)
		return REFUSED;
	return cut || l->again > 0 ? TRY_AGAIN : DONE;
}

static enum err
start_slots(struct line *l)
{
	unsigned i;

	for (i = 0; i < l->conf->slots; i++) {
		if (pthread_create(&l->slots[i].thread, NULL, slot_main,
				   &l->slots[i]) != 0)
			return ERR_NOMEM;
		l->slots[i].started = 1;
	}
	return ERR_OK;
}

static void
join_slots(struct line *l)
{
	unsigned i;

	(void)pthread_mutex_lock(&l->lock);
	l->fed = 1;
	(void)pthread_cond_broadcast(&l->news);
	(void)pthread_mutex_unlock(&l->lock);
	for (i = 0; i < l->conf->slots; i++)
		if (l->slots[i].started)
			(void)pthread_join(l->slots[i].thread, NULL);
}

static int
init_lock(struct line *l)
{
	pthread_condattr_t attr;
	int bad;

	if (pthread_condattr_init(&attr) != 0)
		return 1;
	bad = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
	      pthread_mutex_init(&l->lock, NULL) != 0 ||
	      pthread_cond_init(&l->news, &attr) != 0;
	(void)pthread_condattr_destroy(&attr);
	return bad;
}

static int
drive(struct run_state *r)
{
	struct line *l = &r->l;
	int code;

	if (start_slots(l) != ERR_OK) {
		l->stop = 1;
		l->why = "there are no more threads: take fewer slots";
	} else {
		attend(r);
	}
	code = sum_up(r);
	join_slots(l);
	return code;
}

int
line_run(const struct line_conf *conf, struct feed *f)
{
	struct run_state *r = calloc(1, sizeof(*r));
	struct detail d = {""};
	const char *step = "memory";
	enum err e = ERR_NOMEM;
	int code;

	if (r == NULL || init_lock(&r->l)) {
		free(r);
		tell_options(NULL, step, e, &d);
		return REFUSED;
	}
	r->l.conf = conf;
	r->feed = f;
	r->signals = r->l.wake = -1;
	r->l.terminal = isatty(STDERR_FILENO);
	r->l.p.total = feed_count(f);
	r->started = r->drawn = clock_mono_ms(&clock_system);
	if ((e = open_line(r, &step, &d)) == ERR_OK) {
		code = drive(r);
	} else {
		tell_options(NULL, step, e, &d);
		code = e == ERR_IO || e == ERR_NOMEM ? REFUSED : USAGE;
	}
	close_line(r);
	free(r);
	return code;
}
