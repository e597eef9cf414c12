#include <stdlib.h>
#include "gateway/agent/agent.h"

/* A few threads that may wait, behind a queue that has an end. */
struct waiters {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct req *first, **last;
	uint32_t queued, max;
	int stopping;
	uint32_t n;
	pthread_t thread[];
};

static struct req *
take(struct waiters *w, int *stopping)
{
	struct req *r;

	pthread_mutex_lock(&w->lock);
	while (w->first == NULL && !w->stopping)
		pthread_cond_wait(&w->cond, &w->lock);
	if ((r = w->first) != NULL) {
		if ((w->first = r->next) == NULL)
			w->last = &w->first;
		w->queued--;
	}
	*stopping = w->stopping;
	pthread_mutex_unlock(&w->lock);
	return (r);
}

static void *
work(void *arg)
{
	struct waiters *w = arg;
	struct req *r;
	int64_t left;
	int stopping;

	while ((r = take(w, &stopping)) != NULL) {
		left = (r->give_up_us - now_us()) / 1000;
		server_waited(r, stopping || left < 1 ? 0 : (uint32_t)left);
	}
	return (NULL);
}

enum err
waiters_new(uint32_t threads, uint32_t queue, struct waiters **out)
{
	struct waiters *w;

	w = calloc(1, sizeof(*w) + threads * sizeof(w->thread[0]));
	if (w == NULL)
		return (ERR_NOMEM);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	w->last = &w->first;
	w->max = queue;
	for (; w->n < threads; w->n++)
		if (pthread_create(&w->thread[w->n], NULL, work, w) != 0) {
			waiters_free(&w);
			return (ERR_NOMEM);
		}
	*out = w;
	return (ERR_OK);
}

enum err
waiters_push(struct waiters *w, struct req *r)
{
	enum err e = ERR_BUSY;

	pthread_mutex_lock(&w->lock);
	if (!w->stopping && w->queued < w->max) {
		/* under the lock: no thread resumes it before */
		MHD_suspend_connection(r->mc);
		r->next = NULL;
		*w->last = r;
		w->last = &r->next;
		w->queued++;
		pthread_cond_signal(&w->cond);
		e = ERR_OK;
	}
	pthread_mutex_unlock(&w->lock);
	return (e);
}

uint32_t
waiters_depth(struct waiters *w)
{
	uint32_t n;

	pthread_mutex_lock(&w->lock);
	n = w->queued;
	pthread_mutex_unlock(&w->lock);
	return (n);
}

void
waiters_stop(struct waiters *w)
{
	pthread_mutex_lock(&w->lock);
	w->stopping = 1;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
	for (uint32_t i = 0; i < w->n; i++)
		pthread_join(w->thread[i], NULL);
	w->n = 0;
}

void
waiters_free(struct waiters **w)
{
	if (*w == NULL)
		return;
	waiters_stop(*w);
	pthread_cond_destroy(&(*w)->cond);
	pthread_mutex_destroy(&(*w)->lock);
	free(*w);
	*w = NULL;
}
