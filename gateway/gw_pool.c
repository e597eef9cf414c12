#include <stdlib.h>
#include "gateway/gw_int.h"

/* A bounded queue and a fixed number of threads that may block. */
struct pool {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct job *first, **last;
	uint32_t queued, max;
	bool stopping;
	uint32_t n;
	struct worker *worker;
};

static struct job *
next_job(struct pool *p)
{
	struct job *j;

	pthread_mutex_lock(&p->lock);
	while (p->first == NULL && !p->stopping)
		pthread_cond_wait(&p->cond, &p->lock);
	if ((j = p->first) != NULL && !p->stopping) {
		if ((p->first = j->next) == NULL)
			p->last = &p->first;
		p->queued--;
	} else
		j = NULL;
	pthread_mutex_unlock(&p->lock);
	return (j);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct job *j;

	while ((j = next_job(w->g->pool)) != NULL)
		j->run(j, w);
	return (NULL);
}

static enum err
start(struct pool *p, struct fealty_gateway *g, const struct link_conf *conf,
    uint32_t threads)
{
	enum err e;

	for (uint32_t i = 0; i < threads; i++) {
		struct worker *w = &p->worker[i];

		w->g = g;
		if ((e = link_open(&w->link, conf)) != ERR_OK)
			return (e);
		if (pthread_create(&w->thread, NULL, work, w) != 0) {
			link_close(&w->link);
			return (ERR_NOMEM);
		}
		p->n++;
	}
	return (ERR_OK);
}

enum err
pool_new(struct fealty_gateway *g, const struct link_conf *conf,
    uint32_t threads, uint32_t queue, struct pool **out)
{
	struct pool *p;
	enum err e;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return (ERR_NOMEM);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->cond, NULL);
	p->last = &p->first;
	p->max = queue;
	*out = p; /* the threads look for it there */
	if ((p->worker = calloc(threads, sizeof(*p->worker))) == NULL)
		e = ERR_NOMEM;
	else
		e = start(p, g, conf, threads);
	if (e != ERR_OK) {
		pool_stop(p);
		pool_free(out);
	}
	return (e);
}

enum err
pool_submit(struct pool *p, struct job *j, int prio)
{
	enum err e = ERR_BUSY;

	pthread_mutex_lock(&p->lock);
	if (!p->stopping && p->queued < (prio ? p->max : p->max / 2)) {
		j->next = NULL;
		*p->last = j;
		p->last = &j->next;
		p->queued++;
		pthread_cond_signal(&p->cond);
		e = ERR_OK;
	}
	pthread_mutex_unlock(&p->lock);
	return (e);
}

void
pool_stop(struct pool *p)
{
	struct job *j, *next;

	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->cond);
	pthread_mutex_unlock(&p->lock);
	for (uint32_t i = 0; i < p->n; i++)
		pthread_join(p->worker[i].thread, NULL);
	for (uint32_t i = 0; i < p->n; i++)
		link_close(&p->worker[i].link);
	p->n = 0;
	for (j = p->first; j != NULL; j = next) {
		next = j->next;
		j->run(j, NULL);
	}
	p->first = NULL;
	p->last = &p->first;
}

void
pool_free(struct pool **p)
{
	if (*p == NULL)
		return;
	free((*p)->worker);
	pthread_cond_destroy(&(*p)->cond);
	pthread_mutex_destroy(&(*p)->lock);
	free(*p);
	*p = NULL;
}
