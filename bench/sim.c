#include <sys/epoll.h>
#include <sys/resource.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "bench/sim_gw.h"

#define WAIT_S 20
#define BATCH 64

void
sim_moved(struct sim *s, int all)
{
	if (!all)
		return;
	(void)pthread_mutex_lock(&s->lock);
	(void)pthread_cond_signal(&s->moved);
	(void)pthread_mutex_unlock(&s->lock);
}

static void *
run(void *arg)
{
	struct epoll_event ev[BATCH];
	struct runner *r = arg;
	int i, n;

	while (!atomic_load(&r->sim->stop)) {
		n = epoll_wait(r->epoll, ev, BATCH, 100);
		for (i = 0; i < n; i++) {
			if (gw_step(ev[i].data.ptr) == 0)
				continue;
			if (!atomic_load(&r->sim->stop))
				atomic_store(&r->sim->failed, 1);
			sim_moved(r->sim, 1);
			return NULL;
		}
	}
	return NULL;
}

static int
watch(struct runner *r, struct end *e)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = e};

	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, e->fd, &ev);
}

/* Waits until *count is all of them. */
static int
wait_all(struct sim *s, _Atomic size_t *count, const char *what)
{
	struct timespec until;
	int late = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_S;
	(void)pthread_mutex_lock(&s->lock);
	while (!late && !atomic_load(&s->failed) &&
	       atomic_load(count) < s->conf.gateways)
		late = pthread_cond_timedwait(&s->moved, &s->lock, &until) ==
		       ETIMEDOUT;
	(void)pthread_mutex_unlock(&s->lock);
	if (atomic_load(count) == s->conf.gateways && !atomic_load(&s->failed))
		return 0;
	fprintf(stderr, "%zu of %zu gateways %s\n", atomic_load(count),
	    s->conf.gateways, what);
	return -1;
}

static int
start(struct sim *s)
{
	size_t i;

	for (i = 0; i < s->conf.threads; i++) {
		s->runner[i].sim = s;
		s->runner[i].epoll = epoll_create1(EPOLL_CLOEXEC);
		if (s->runner[i].epoll == -1 ||
		    pthread_create(&s->runner[i].thread, NULL, run,
			&s->runner[i]) != 0)
			return -1;
		s->runner[i].started = 1;
	}
	for (i = 0; i < s->conf.gateways; i++) {
		struct runner *r = &s->runner[i % s->conf.threads];

		if (gw_open(&s->gw[i], s, i + 1) != 0 ||
		    watch(r, &s->gw[i].feed) != 0 ||
		    watch(r, &s->gw[i].receipt) != 0)
			return -1;
	}
	return wait_all(s, &s->ready, "follow the feed");
}

static void
more_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

struct sim *
sim_open(const struct sim_conf *conf)
{
	struct sim *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (s == NULL)
		return NULL;
	more_files();
	s->conf = *conf;
	atomic_store(&s->device, conf->device);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->moved, &attr);
	(void)pthread_condattr_destroy(&attr);
	s->gw = calloc(conf->gateways, sizeof(*s->gw));
	s->runner = calloc(conf->threads, sizeof(*s->runner));
	if (s->gw == NULL || s->runner == NULL || start(s) != 0)
		sim_close(&s);
	return s;
}

void
sim_close(struct sim **ps)
{
	struct sim *s = *ps;
	size_t i;

	*ps = NULL;
	if (s == NULL)
		return;
	atomic_store(&s->stop, 1);
	for (i = 0; s->runner != NULL && i < s->conf.threads; i++) {
		if (!s->runner[i].started)
			continue;
		(void)pthread_join(s->runner[i].thread, NULL);
		(void)close(s->runner[i].epoll);
	}
	for (i = 0; s->gw != NULL && i < s->conf.gateways; i++)
		gw_close(&s->gw[i]);
	(void)pthread_cond_destroy(&s->moved);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->gw);
	free(s->runner);
	free(s);
}

void
sim_expect(struct sim *s, uint64_t next_device)
{
	atomic_store(&s->device, next_device);
	atomic_store(&s->closed, 0);
	atomic_store(&s->sent_us, 0);
	atomic_store(&s->kept_us, 0);
	atomic_store(&s->kept, 0);
}

int
sim_wait(struct sim *s, struct sim_done *out)
{
	if (wait_all(s, &s->kept, "sent their receipts") != 0)
		return -1;
	out->closed = atomic_load(&s->closed);
	out->sent_us = atomic_load(&s->sent_us);
	out->kept_us = atomic_load(&s->kept_us);
	return 0;
}
