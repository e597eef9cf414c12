#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "gateway/gw_int.h"

/* One thread that drives the handshakes of hosts without an event loop. */
#define TICK_MS 50

struct shake {
	struct shake *next, **prev;
	SSL *ssl;
	int64_t deadline;
	bool late;
	int fd; /* watched now, or -1 */
	fealty_handshake_fn *done;
	void *arg;
};
struct loop {
	struct fealty_gateway *g;
	pthread_mutex_t lock;
	struct shake *fresh; /* not yet seen by the thread */
	uint32_t n, max;
	bool stopping;
	int epoll, wake;
	struct shake *all; /* the thread's */
	pthread_t thread;
	bool running;
};

static void
unwatch(struct loop *l, struct shake *s)
{
	if (s->fd >= 0)
		epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	s->fd = -1;
}

static void
finish(struct loop *l, struct shake *s, int ok)
{
	unwatch(l, s);
	if ((*s->prev = s->next) != NULL)
		s->next->prev = s->prev;
	s->done(s->arg, s->ssl, ok);
	free(s);
	pthread_mutex_lock(&l->lock);
	l->n--;
	pthread_mutex_unlock(&l->lock);
}

static int
watch(struct loop *l, struct shake *s, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	unwatch(l, s);
	if (fd < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
		return (0);
	s->fd = fd;
	return (1);
}

/* 1 while the SSL is in the hands of a worker. */
static int
on_worker(struct loop *l, struct shake *s)
{
	struct conn *c = conn_peek(s->ssl);
	int busy;

	if (c == NULL)
		return (0);
	pthread_mutex_lock(&l->g->work_lock);
	busy = c->work == WORK_UNDER_WAY;
	pthread_mutex_unlock(&l->g->work_lock);
	return (busy);
}

static void
too_late(struct loop *l, struct shake *s)
{
	struct conn *c = conn_peek(s->ssl);

	s->late = true;
	if (on_worker(l, s))
		return; /* until it comes back */
	if (c != NULL)
		conn_late(c);
	finish(l, s, 0);
}

static void
step(struct loop *l, struct shake *s)
{
	int fd, ok = 1, key_fd;

	if (s->late) {
		too_late(l, s);
		return;
	}
	fd = SSL_get_fd(s->ssl);
	switch (fealty_tls_step(l->g, s->ssl, &key_fd)) {
	case FEALTY_STEP_WANT_READ:
		ok = watch(l, s, fd, EPOLLIN);
		break;
	case FEALTY_STEP_WANT_WRITE:
		ok = watch(l, s, fd, EPOLLOUT);
		break;
	case FEALTY_STEP_WANT_KEY:
		ok = watch(l, s, key_fd, EPOLLIN);
		break;
	case FEALTY_STEP_DONE:
		finish(l, s, 1);
		return;
	case FEALTY_STEP_FAILED:
		finish(l, s, 0);
		return;
	}
	if (!ok)
		too_late(l, s);
}

/* Takes over what was handed in. 1: stop. */
static int
take_fresh(struct loop *l)
{
	struct shake *s, *next;
	uint64_t n;
	int stop;

	if (read(l->wake, &n, sizeof(n)) < 0)
		n = 0; /* woken for something else */
	pthread_mutex_lock(&l->lock);
	s = l->fresh;
	l->fresh = NULL;
	stop = l->stopping;
	pthread_mutex_unlock(&l->lock);
	for (; s != NULL; s = next) {
		next = s->next;
		if ((s->next = l->all) != NULL)
			s->next->prev = &s->next;
		s->prev = &l->all;
		l->all = s;
		if (!stop)
			step(l, s);
	}
	return (stop);
}

static void
expire(struct loop *l)
{
	int64_t now = gw_now(l->g);
	struct shake *s, *next;

	for (s = l->all; s != NULL; s = next) {
		next = s->next;
		if (s->deadline <= now)
			too_late(l, s);
	}
}

static void *
loop_thread(void *arg)
{
	struct epoll_event ev[64];
	struct loop *l = arg;
	int64_t swept = 0;
	int n;

	while (!take_fresh(l)) {
		n = epoll_wait(l->epoll, ev, 64, l->all != NULL ? TICK_MS :
		    -1);
		for (int i = 0; i < n; i++)
			if (ev[i].data.ptr != NULL)
				step(l, ev[i].data.ptr);
		if (gw_now(l->g) - swept >= TICK_MS) {
			swept = gw_now(l->g);
			expire(l);
		}
	}
	while (l->all != NULL)
		finish(l, l->all, 0);
	return (NULL);
}

enum err
loop_new(struct fealty_gateway *g, uint32_t max, struct loop **out)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
	struct loop *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return (ERR_NOMEM);
	pthread_mutex_init(&l->lock, NULL);
	l->g = g;
	l->max = max;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*out = l;
	if (l->epoll < 0 || l->wake < 0 ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->wake, &ev) != 0 ||
	    pthread_create(&l->thread, NULL, loop_thread, l) != 0) {
		loop_free(out);
		return (ERR_IO);
	}
	l->running = true;
	return (ERR_OK);
}

static void
wake(struct loop *l)
{
	uint64_t one = 1;

	if (write(l->wake, &one, sizeof(one)) < 0)
		return; /* full: readable already */
}

void
loop_stop(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	pthread_mutex_unlock(&l->lock);
	wake(l);
	if (l->running)
		pthread_join(l->thread, NULL);
	l->running = false;
}

void
loop_free(struct loop **l)
{
	if (*l == NULL)
		return;
	if ((*l)->epoll >= 0)
		close((*l)->epoll);
	if ((*l)->wake >= 0)
		close((*l)->wake);
	pthread_mutex_destroy(&(*l)->lock);
	free(*l);
	*l = NULL;
}

static int
enter(struct loop *l, struct shake *s)
{
	int ok;

	pthread_mutex_lock(&l->lock);
	if ((ok = !l->stopping && l->n < l->max)) {
		l->n++;
		s->next = l->fresh;
		l->fresh = s;
	}
	pthread_mutex_unlock(&l->lock);
	if (ok)
		wake(l);
	return (ok);
}

int
fealty_tls_handshake(struct fealty_gateway *g, SSL *ssl, uint32_t timeout_ms,
    fealty_handshake_fn *done, void *arg)
{
	int fd = SSL_get_fd(ssl), flags;
	struct shake *s;

	if (fd < 0 || (flags = fcntl(fd, F_GETFL)) < 0 ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return (-1);
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return (-1);
	s->ssl = ssl;
	s->fd = -1;
	s->done = done;
	s->arg = arg;
	s->deadline = gw_now(g) + timeout_ms;
	if (!enter(g->loop, s)) {
		free(s);
		return (-1);
	}
	return (0);
}
