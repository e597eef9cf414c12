#include "authd/http/guard.h"

#include <sys/socket.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "authd/http/request.h"

struct guard {
	const struct clock *clock;
	void (*tick)(void *);
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock; /* of the list; held while a fd is shut down */
	pthread_cond_t wake;
	int stop;
	struct conn *first;
};

static int64_t
limit_of(int phase)
{
	switch (phase) {
	case CONN_FRESH:
		return GUARD_FRESH_MS;
	case CONN_IDLE:
		return GUARD_IDLE_MS;
	case CONN_READING:
		return GUARD_READING_MS;
	case CONN_WRITING:
		return GUARD_WRITING_MS;
	default: /* with us: the queue's deadline holds */
		return INT64_MAX;
	}
}

static void
reap(struct guard *g)
{
	int64_t now = clock_mono_ms(g->clock);
	struct conn *c;

	for (c = g->first; c != NULL; c = c->next)
		if (now - atomic_load(&c->since) >
		    limit_of(atomic_load(&c->phase)))
			(void)shutdown(c->fd, SHUT_RDWR);
}

static void *
guard_main(void *arg)
{
	struct guard *g = arg;
	struct timespec ts;

	(void)pthread_mutex_lock(&g->lock);
	while (!g->stop) {
		reap(g);
		(void)pthread_mutex_unlock(&g->lock);
		g->tick(g->arg);
		(void)clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_nsec += 250000000;
		if (ts.tv_nsec >= 1000000000) {
			ts.tv_sec++;
			ts.tv_nsec -= 1000000000;
		}
		(void)pthread_mutex_lock(&g->lock);
		if (!g->stop)
			(void)pthread_cond_timedwait(&g->wake, &g->lock, &ts);
	}
	(void)pthread_mutex_unlock(&g->lock);
	return NULL;
}

enum err
guard_new(const struct clock *clock, void (*tick)(void *), void *arg,
    struct guard **out)
{
	struct guard *g = calloc(1, sizeof(*g));
	pthread_condattr_t attr;

	if (g == NULL)
		return ERR_NOMEM;
	g->clock = clock;
	g->tick = tick;
	g->arg = arg;
	(void)pthread_mutex_init(&g->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&g->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	if (pthread_create(&g->thread, NULL, guard_main, g) != 0) {
		(void)pthread_cond_destroy(&g->wake);
		(void)pthread_mutex_destroy(&g->lock);
		free(g);
		return ERR_INTERNAL;
	}
	*out = g;
	return ERR_OK;
}

void
guard_free(struct guard **gp)
{
	struct guard *g = *gp;

	if (g == NULL)
		return;
	(void)pthread_mutex_lock(&g->lock);
	g->stop = 1;
	(void)pthread_cond_signal(&g->wake);
	(void)pthread_mutex_unlock(&g->lock);
	(void)pthread_join(g->thread, NULL);
	(void)pthread_cond_destroy(&g->wake);
	(void)pthread_mutex_destroy(&g->lock);
	free(g);
	*gp = NULL;
}

void
guard_add(struct guard *g, struct conn *c)
{
	guard_phase(g, c, CONN_FRESH);
	(void)pthread_mutex_lock(&g->lock);
	c->prev = NULL;
	c->next = g->first;
	if (g->first != NULL)
		g->first->prev = c;
	g->first = c;
	(void)pthread_mutex_unlock(&g->lock);
}

void
guard_remove(struct guard *g, struct conn *c)
{
	(void)pthread_mutex_lock(&g->lock);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		g->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	(void)pthread_mutex_unlock(&g->lock);
}

void
guard_phase(const struct guard *g, struct conn *c, int phase)
{
	/* A phase without limit first: the old one must not meet the new
	 * time, nor the new one the old time. */
	atomic_store_explicit(&c->phase, CONN_WORKING, memory_order_relaxed);
	atomic_store(&c->since, clock_mono_ms(g->clock));
	atomic_store(&c->phase, phase);
}
