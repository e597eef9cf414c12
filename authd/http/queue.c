#include "authd/http/queue.h"

#include <pthread.h>
#include <stdlib.h>

#include "authd/http/request.h"

struct queue {
	struct queue_conf conf;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct req *first, *last;
	uint32_t places; /* taken */
	int stop;
	uint32_t nthreads;
	pthread_t thread[];
};

/* With the lock held. */
static struct req *
take(struct queue *q)
{
	struct req *r = q->first;

	if (r == NULL)
		return NULL;
	q->first = r->next;
	if (q->first == NULL)
		q->last = NULL;
	r->next = NULL;
	q->places--;
	return r;
}

static void *
worker_main(void *arg)
{
	struct queue *q = arg;
	struct req *r;
	enum err why;

	(void)pthread_mutex_lock(&q->lock);
	while (!q->stop) {
		r = take(q);
		if (r == NULL) {
			(void)pthread_cond_wait(&q->wake, &q->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&q->lock);
		why = clock_mono_ms(q->conf.clock) > r->deadline_ms ?
		    ERR_TIMEOUT : ERR_OK;
		q->conf.done(r, why);
		(void)pthread_mutex_lock(&q->lock);
	}
	(void)pthread_mutex_unlock(&q->lock);
	return NULL;
}

enum err
queue_new(const struct queue_conf *conf, struct queue **out)
{
	struct queue *q;

	q = calloc(1, sizeof(*q) + conf->workers * sizeof(q->thread[0]));
	if (q == NULL)
		return ERR_NOMEM;
	q->conf = *conf;
	(void)pthread_mutex_init(&q->lock, NULL);
	(void)pthread_cond_init(&q->wake, NULL);
	for (; q->nthreads < conf->workers; q->nthreads++)
		if (pthread_create(&q->thread[q->nthreads], NULL, worker_main,
			q) != 0) {
			queue_free(&q);
			return ERR_INTERNAL;
		}
	*out = q;
	return ERR_OK;
}

enum err
queue_reserve(struct queue *q)
{
	enum err e = ERR_BUSY;

	(void)pthread_mutex_lock(&q->lock);
	if (!q->stop && q->places < q->conf.max) {
		q->places++;
		e = ERR_OK;
	}
	(void)pthread_mutex_unlock(&q->lock);
	return e;
}

/* 0 when the queue has stopped. */
static int
put(struct queue *q, struct req *r)
{
	int ok;

	(void)pthread_mutex_lock(&q->lock);
	ok = !q->stop;
	r->next = NULL;
	if (ok && q->last != NULL)
		q->last->next = r;
	else if (ok)
		q->first = r;
	if (ok) {
		q->last = r;
		(void)pthread_cond_signal(&q->wake);
	}
	(void)pthread_mutex_unlock(&q->lock);
	return ok;
}

void
queue_push(struct queue *q, struct req *r)
{
	if (!put(q, r))
		q->conf.done(r, ERR_NOT_READY);
}

/* The next request to refuse: all of them, or those past their deadline. */
static struct req *
take_due(struct queue *q, int all)
{
	int64_t now = clock_mono_ms(q->conf.clock);
	struct req *r = NULL;

	(void)pthread_mutex_lock(&q->lock);
	/* Deadlines are in order: all wait equally long. */
	if (q->first != NULL && (all || now > q->first->deadline_ms))
		r = take(q);
	(void)pthread_mutex_unlock(&q->lock);
	return r;
}

void
queue_expire(struct queue *q)
{
	struct req *r;

	while ((r = take_due(q, 0)) != NULL)
		q->conf.done(r, ERR_TIMEOUT);
}

uint32_t
queue_length(struct queue *q)
{
	uint32_t n;

	(void)pthread_mutex_lock(&q->lock);
	n = q->places;
	(void)pthread_mutex_unlock(&q->lock);
	return n;
}

void
queue_stop(struct queue *q)
{
	struct req *r;
	uint32_t i;

	(void)pthread_mutex_lock(&q->lock);
	q->stop = 1;
	(void)pthread_cond_broadcast(&q->wake);
	(void)pthread_mutex_unlock(&q->lock);
	for (i = 0; i < q->nthreads; i++)
		(void)pthread_join(q->thread[i], NULL);
	q->nthreads = 0;
	while ((r = take_due(q, 1)) != NULL)
		q->conf.done(r, ERR_NOT_READY);
}

void
queue_free(struct queue **qp)
{
	struct queue *q = *qp;

	if (q == NULL)
		return;
	queue_stop(q);
	(void)pthread_cond_destroy(&q->wake);
	(void)pthread_mutex_destroy(&q->lock);
	free(q);
	*qp = NULL;
}
