/* The bounded pool of sessions. */
#include "authd/store/pg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SESSIONS_MAX 256

static enum err
pool_sync_init(struct store_pool *pool)
{
	pthread_condattr_t attr;
	int bad;

	if (pthread_mutex_init(&pool->lock, NULL) != 0)
		return ERR_NOMEM;
	if (pthread_condattr_init(&attr) != 0) {
		(void)pthread_mutex_destroy(&pool->lock);
		return ERR_NOMEM;
	}
	bad = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
	    pthread_cond_init(&pool->returned, &attr) != 0;
	(void)pthread_condattr_destroy(&attr);
	if (bad)
		(void)pthread_mutex_destroy(&pool->lock);
	return bad ? ERR_NOMEM : ERR_OK;
}

static void
pool_sync_destroy(struct store_pool *pool)
{
	(void)pthread_cond_destroy(&pool->returned);
	(void)pthread_mutex_destroy(&pool->lock);
}

enum err
store_pool_open(const struct store_conf *conf, struct store_pool **out)
{
	struct store_pool *pool = NULL;
	enum err e = ERR_NOMEM;
	uint32_t i;

	if (conf->conninfo == NULL || conf->sessions < 1 ||
	    conf->sessions > SESSIONS_MAX || conf->connect_ms < 1 ||
	    conf->connect_ms > 600000 || conf->statement_ms < 1 ||
	    conf->statement_ms > 600000 || !PQisthreadsafe())
		return ERR_CONFIG;
	pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return ERR_NOMEM;
	pool->conf = *conf;
	pool->conninfo = strdup(conf->conninfo);
	pool->sessions = calloc(conf->sessions, sizeof(*pool->sessions));
	if (pool->conninfo == NULL || pool->sessions == NULL)
		goto out;
	pool->conf.conninfo = pool->conninfo;
	for (i = 0; i < conf->sessions; i++) {
		pool->sessions[i].pool = pool;
		pool->sessions[i].next = pool->free;
		pool->free = &pool->sessions[i];
	}
	e = pool_sync_init(pool);
	if (e != ERR_OK)
		goto out;
	e = marks_open(pool);
	if (e != ERR_OK) {
		pool_sync_destroy(pool);
		goto out;
	}
	*out = pool;
	return ERR_OK;
out:
	free(pool->sessions);
	free(pool->conninfo);
	free(pool);
	return e;
}

void
store_pool_close(struct store_pool **p)
{
	struct store_pool *pool;
	uint32_t i;

	if (p == NULL || *p == NULL)
		return;
	pool = *p;
	*p = NULL;
	marks_close(pool);
	for (i = 0; i < pool->conf.sessions; i++)
		pg_drop(&pool->sessions[i]);
	pool_sync_destroy(pool);
	free(pool->sessions);
	/* It may hold a password. */
	wipe(pool->conninfo, strlen(pool->conninfo));
	free(pool->conninfo);
	free(pool);
}

static void
deadline_in(struct timespec *ts, uint32_t ms)
{
	(void)clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += ms / 1000;
	ts->tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
}

enum err
store_acquire(struct store_pool *pool, uint32_t wait_ms, struct store **out)
{
	struct timespec until;
	struct store *st;
	int rc = 0;

	deadline_in(&until, wait_ms);
	(void)pthread_mutex_lock(&pool->lock);
	while (pool->free == NULL && rc == 0)
		rc = pthread_cond_timedwait(&pool->returned, &pool->lock,
		    &until);
	st = pool->free;
	if (st != NULL)
		pool->free = st->next;
	(void)pthread_mutex_unlock(&pool->lock);
	if (st == NULL)
		return ERR_BUSY;
	st->next = NULL;
	*out = st;
	return ERR_OK;
}

void
store_release(struct store **p)
{
	struct store_pool *pool;
	struct store *st;

	if (p == NULL || *p == NULL)
		return;
	st = *p;
	*p = NULL;
	pool = st->pool;
	store_rollback(st);
	/* The next user wants no stranger's wake-ups. */
	if (st->listening)
		pg_drop(st);
	(void)pthread_mutex_lock(&pool->lock);
	st->next = pool->free;
	pool->free = st;
	(void)pthread_cond_signal(&pool->returned);
	(void)pthread_mutex_unlock(&pool->lock);
}
