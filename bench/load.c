/*
 * The load generator: keep-alive connections on one epoll loop, one request
 * in flight on each, every answer checked against its plan. As fast as it
 * goes, or at a rate.
 */
#include <sys/epoll.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench/conn.h"
#include "bench/plan.h"
#include "bench/stats.h"
#include "lib/base/clock.h"
#include "lib/base/opt.h"
#include "lib/base/secret.h"

struct options {
	const char *host, *plan, *save, *identities;
	uint64_t port, connections, seconds_ms, rate;
	int once, exact, tls12, help;
};

struct load {
	struct options o;
	struct plan plan;
	size_t next;   /* entry to be sent next */
	size_t active; /* connections with a request in flight */
	struct conn **idle; /* with a rate: those that wait for their turn */
	size_t nidle;
	uint64_t started;
	int epoll;
	int64_t end_us;
	FILE *save;
	struct stats stats;
};

static volatile sig_atomic_t stopped;

/* SIGTERM: time is up, and what was measured counts. */
static void
stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static int
over(const struct load *l)
{
	return stopped || now_us() >= l->end_us;
}

/* With a rate: whether the next request is due. */
static int
due(const struct load *l)
{
	int64_t us = now_us() - l->stats.begun_us;

	return l->o.rate == 0 ||
	       l->started < (uint64_t)us * l->o.rate / 1000000;
}

/* Starts the next request on c, if there is one and time is left. */
static int
start(struct load *l, struct conn *c)
{
	const struct plan_entry *e;

	if (!due(l)) {
		l->idle[l->nidle++] = c;
		return 0;
	}

	if (l->next == l->plan.n && l->o.once)
		return 0;
	if (over(l))
		return 0;
	e = &l->plan.entries[l->next++ % l->plan.n];
	conn_send(c, e);
	l->started++;
	l->active++;
	return conn_write(c);
}

/* The token of an answer, a line each, for whoever checks signatures. */
static void
save_token(struct load *l, const struct conn *c)
{
	static const char mark[] = "\"access_token\":\"";
	const char *p, *end;

	if (l->save == NULL)
		return;
	p = memmem(c->body, c->body_len, mark, sizeof(mark) - 1);
	if (p == NULL)
		return;
	p += sizeof(mark) - 1;
	end = memchr(p, '"', c->body_len - (size_t)(p - c->body));
	if (end != NULL)
		fprintf(l->save, "%.*s\n", (int)(end - p), p);
}

static int
right(const struct load *l, const struct conn *c)
{
	const struct plan_entry *e = c->entry;

	if (c->status != 200)
		return 0;
	if (l->o.exact)
		return c->body_len == e->expect_len &&
		       memcmp(c->body, e->expect, e->expect_len) == 0;
	return e->expect_len == 0 ||
	       memmem(c->body, c->body_len, e->expect, e->expect_len) != NULL;
}

static void
finish(struct load *l, struct conn *c)
{
	int good = right(l, c);

	if (!good && l->stats.wrong < 3)
		fprintf(stderr, "wrong answer: %d %.*s\n", c->status,
		    (int)(c->body_len < 300 ? c->body_len : 300), c->body);
	if (good)
		save_token(l, c);
	stats_add(&l->stats, now_us() - c->started_us, good);
	l->active--;
}

static int
step(struct load *l, struct conn *c)
{
	int r = conn_write(c);

	while (r == 0) {
		r = conn_read(c);
		if (r != 1)
			break;
		finish(l, c);
		r = start(l, c);
		if (!c->busy)
			return 0;
	}
	return r;
}

/* Starts what is due, on whoever waits. */
static int
start_due(struct load *l)
{
	while (l->nidle > 0 && !over(l) && due(l))
		if (start(l, l->idle[--l->nidle]) < 0)
			return -1;
	return 0;
}

static int
loop(struct load *l)
{
	struct epoll_event ev[64];
	int i, n;

	while (l->active > 0 || (l->nidle > 0 && !over(l))) {
		n = epoll_wait(l->epoll, ev, 64, l->o.rate > 0 ? 1 : 10000);
		if (n < 0 && errno != EINTR)
			return -1;
		if (start_due(l) != 0)
			return -1;
		if (n == 0 && l->o.rate == 0) {
			fprintf(stderr, "no answer for 10 s\n");
			return -1;
		}
		for (i = 0; i < n; i++) {
			if (step(l, ev[i].data.ptr) < 0) {
				fprintf(stderr, "connection lost: %s\n",
				    strerror(errno));
				return -1;
			}
		}
	}
	return 0;
}

static int
watch(struct load *l, struct conn *c)
{
	struct epoll_event ev = {
	    .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev);
}

static int
drive(struct load *l)
{
	struct conn_pool *pool;
	size_t i;
	int rc = -1;

	pool = conn_pool_open(l->o.host, (unsigned)l->o.port,
	    (size_t)l->o.connections, l->o.identities, l->o.tls12);
	if (pool == NULL)
		return -1;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->idle = calloc(pool->n, sizeof(struct conn *));
	if (l->epoll == -1 || l->idle == NULL)
		goto out;
	l->stats.begun_us = now_us();
	l->end_us = l->stats.begun_us + (int64_t)l->o.seconds_ms * 1000;
	for (i = 0; i < pool->n; i++) {
		if (watch(l, &pool->conns[i]) != 0 ||
		    start(l, &pool->conns[i]) < 0)
			goto out;
	}
	rc = loop(l);
	l->stats.ended_us = now_us();
out:
	if (l->epoll >= 0)
		(void)close(l->epoll);
	free(l->idle);
	conn_pool_close(pool);
	return rc;
}

#define O(m) offsetof(struct options, m)
static const struct opt table[] = {
    {"host", 0, OPT_STRING, "ADDRESS", "IPv4 address", O(host), 0, "127.0.0.1"},
    {"port", 0, OPT_NUMBER, "N", "its port", O(port), 65535, NULL},
    {"connections", 0, OPT_NUMBER, "N", "keep-alive connections",
	O(connections), 4096, "64"},
    {"seconds", 0, OPT_DURATION, "TIME", "how long", O(seconds_ms), 3600000,
	"5s"},
    {"plan", 0, OPT_STRING, "FILE", "requests and expectations", O(plan), 0,
	NULL},
    {"rate", 0, OPT_NUMBER, "N", "requests a second; 0: as it goes", O(rate),
	1000000, "0"},
    {"once", 0, OPT_FLAG, NULL, "send each request once only", O(once), 0,
	NULL},
    {"exact", 0, OPT_FLAG, NULL,
	"the body is the expectation, not only holds it", O(exact), 0, NULL},
    {"save", 0, OPT_STRING, "FILE", "tokens of the answers, a line each",
	O(save), 0, NULL},
    {"identities", 0, OPT_STRING, "FILE",
	"TLS-PSK: lines of identity and key (hex), in turn", O(identities), 0,
	NULL},
    {"tls12", 0, OPT_FLAG, NULL, "TLS 1.2 instead of 1.3", O(tls12), 0, NULL},
    {"help", 'h', OPT_FLAG, NULL, "show this help", O(help), 0, NULL},
};
#undef O
#define NOPTIONS (sizeof(table) / sizeof(table[0]))

static int
prepare(struct load *l)
{
	if (plan_read(l->o.plan, &l->plan) != 0)
		return -1;
	if (stats_init(&l->stats) != 0)
		return -1;
	if (l->o.save == NULL)
		return 0;
	l->save = fopen(l->o.save, "we");
	return l->save == NULL ? -1 : 0;
}

int
main(int argc, char **argv)
{
	struct load l = {.epoll = -1};
	struct detail d = {""};
	int rest, rc = -1;

	if (opt_parse(table, NOPTIONS, NULL, argc, argv, &l.o, &rest, &d) !=
		ERR_OK ||
	    l.o.help || l.o.plan == NULL || l.o.port == 0) {
		fprintf(stderr, "load: %s\n", d.text);
		opt_help(table, NOPTIONS);
		return 2;
	}
	(void)signal(SIGTERM, stop);
	if (prepare(&l) == 0)
		rc = drive(&l);
	if (l.save != NULL && fclose(l.save) != 0)
		rc = -1;
	if (rc == 0)
		stats_print(&l.stats);
	if (l.stats.wrong > 0 || l.stats.right == 0)
		rc = -1;
	stats_free(&l.stats);
	plan_free(&l.plan);
	return rc == 0 ? 0 : 1;
}
