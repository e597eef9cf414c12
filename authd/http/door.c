#include "authd/http/door.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <unistd.h>

#define BACKLOG 1024
#define STUCK_MS 50    /* a loop that takes longer waits for something */
#define SCARCE_MS 50   /* between tries without descriptors or memory */
/* libmicrohttpd counts a connection a moment longer than we do. */
#define LOOP_SLACK 16

struct loop {
	struct MHD_Daemon *daemon;
	uint32_t held;	  /* connections handed over and not ended */
	uint32_t waiting; /* of them, those that have not begun */
	int64_t since;	  /* when it last made headway with those */
};

struct address {
	uint64_t key;
	uint32_t n; /* connections */
};

struct door {
	struct door_conf conf;
	int fd, wake; /* wake: room again, or stop */
	int open;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows; loops hold it briefly */
	int stop;
	int full; /* the thread waits for room */
	uint32_t held;
	void *addresses; /* of tsearch */
	uint32_t turn;	 /* the loop that is asked first */
	struct loop loops[];
};

/* ---- addresses ---- */

/* FNV-1a over the address; a collision shares a ration, no more. */
static uint64_t
hash(const void *p, size_t len, uint64_t h)
{
	const unsigned char *s = p;

	h ^= UINT64_C(14695981039346656037);
	while (len-- > 0)
		h = (h ^ *s++) * UINT64_C(1099511628211);
	h ^= h >> 32;
	return h == 0 ? 1 : h;
}

uint64_t
door_address(const struct sockaddr *sa)
{
	const struct sockaddr_in6 *six;
	const struct sockaddr_in *four;

	if (sa != NULL && sa->sa_family == AF_INET) {
		four = (const struct sockaddr_in *)(const void *)sa;
		return hash(&four->sin_addr, 4, 4);
	}
	if (sa != NULL && sa->sa_family == AF_INET6) {
		six = (const struct sockaddr_in6 *)(const void *)sa;
		return hash(&six->sin6_addr, 8, 6);
	}
	return 0;
}

static int
by_key(const void *a, const void *b)
{
	const struct address *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

/* 0: it has all it may have, or there is no memory to count it. */
static int
address_enter(struct door *d, uint64_t key)
{
	const struct address probe = {key, 0};
	struct address *a;
	void **node;

	if (d->conf.per_address == 0)
		return 1;
	node = tfind(&probe, &d->addresses, by_key);
	if (node == NULL) {
		a = calloc(1, sizeof(*a));
		if (a == NULL)
			return 0;
		a->key = key;
		node = tsearch(a, &d->addresses, by_key);
		if (node == NULL) {
			free(a);
			return 0;
		}
	}
	a = *node;
	if (a->n >= d->conf.per_address)
		return 0;
	a->n++;
	return 1;
}

static void
address_leave(struct door *d, uint64_t key)
{
	const struct address probe = {key, 0};
	struct address *a;
	void **node = tfind(&probe, &d->addresses, by_key);

	if (node == NULL)
		return;
	a = *node;
	if (--a->n > 0)
		return;
	(void)tdelete(&probe, &d->addresses, by_key);
	free(a);
}

/* ---- loops ---- */

/*
 * The one with fewest connections, in turn among equals. One that has let a
 * connection wait (a handshake may ask the database) is asked last.
 */
static uint32_t
choose(struct door *d)
{
	int64_t now = clock_mono_ms(d->conf.clock);
	uint32_t n = d->conf.loops, best = 0, i, j;
	int best_stuck = 0, stuck, better;
	const struct loop *l;

	for (i = 0; i < n; i++) {
		j = (d->turn + i) % n;
		l = &d->loops[j];
		stuck = l->waiting > 0 && now - l->since > STUCK_MS;
		better = i == 0 || stuck < best_stuck ||
		    (stuck == best_stuck && l->held < d->loops[best].held);
		if (better) {
			best = j;
			best_stuck = stuck;
		}
	}
	d->turn = (best + 1) % n;
	return best;
}

/* Counts a newcomer; the loop it goes to, or -1. */
static int
enter(struct door *d, const struct sockaddr *sa)
{
	struct loop *l;
	int to = -1;

	(void)pthread_mutex_lock(&d->lock);
	if (address_enter(d, door_address(sa))) {
		to = (int)choose(d);
		l = &d->loops[to];
		if (l->waiting++ == 0)
			l->since = clock_mono_ms(d->conf.clock);
		l->held++;
		d->held++;
	}
	(void)pthread_mutex_unlock(&d->lock);
	return to;
}

static void
wake(struct door *d)
{
	const uint64_t one = 1;
	ssize_t n = write(d->wake, &one, sizeof(one));

	(void)n; /* it counts: it is full only when it is awake already */
}

void
door_begun(struct door *d, uint32_t loop)
{
	struct loop *l = &d->loops[loop];

	(void)pthread_mutex_lock(&d->lock);
	l->waiting--;
	l->since = clock_mono_ms(d->conf.clock);
	(void)pthread_mutex_unlock(&d->lock);
}

void
door_over(struct door *d, uint32_t loop, const struct sockaddr *sa)
{
	(void)pthread_mutex_lock(&d->lock);
	address_leave(d, door_address(sa));
	d->loops[loop].held--;
	d->held--;
	if (d->full)
		wake(d);
	d->full = 0;
	(void)pthread_mutex_unlock(&d->lock);
}

unsigned
door_loop_limit(const struct door_conf *conf)
{
	return conf->connections + LOOP_SLACK;
}

/* ---- accepting ---- */

static int
stopping(struct door *d)
{
	int yes;

	(void)pthread_mutex_lock(&d->lock);
	yes = d->stop;
	(void)pthread_mutex_unlock(&d->lock);
	return yes;
}

static int
has_room(struct door *d)
{
	int yes;

	(void)pthread_mutex_lock(&d->lock);
	yes = d->held < d->conf.connections;
	d->full = !yes;
	(void)pthread_mutex_unlock(&d->lock);
	return yes;
}

/*
 * The counts are ours and strict, for libmicrohttpd 0.9.75 hangs in a loop
 * that is handed more than its limit. A connection for which it then finds no
 * memory is closed without a word to us and stays counted.
 */
static void
hand_over(struct door *d, int fd, const struct sockaddr *sa, socklen_t len)
{
	int to = enter(d, sa);

	if (to < 0) {
		(void)close(fd);
		return;
	}
	if (MHD_add_connection(d->loops[to].daemon, fd, sa, len) == MHD_YES)
		return;
	door_begun(d, (uint32_t)to); /* it has closed fd */
	door_over(d, (uint32_t)to, sa);
}

/* Lets in who waits. 0, or how long (ms) not to try again. */
static int
let_in(struct door *d)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	while (!stopping(d) && has_room(d)) {
		len = sizeof(ss);
		fd = accept4(d->fd, (struct sockaddr *)&ss, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			hand_over(d, fd, (struct sockaddr *)&ss, len);
			continue;
		}
		if (errno == EAGAIN)
			return 0;
		if (errno != EINTR && errno != ECONNABORTED)
			return SCARCE_MS;
	}
	return 0;
}

static void *
door_main(void *arg)
{
	struct door *d = arg;
	struct pollfd p[2] = {{.fd = d->wake, .events = POLLIN},
	    {.fd = d->fd, .events = POLLIN}};
	uint64_t n;
	int pause = 0;

	while (!stopping(d)) {
		p[1].revents = 0;
		(void)poll(p, pause == 0 && has_room(d) ? 2 : 1,
		    pause == 0 ? -1 : pause);
		while (read(d->wake, &n, sizeof(n)) > 0)
			;
		if (pause != 0 || p[1].revents != 0)
			pause = let_in(d);
	}
	return NULL;
}

enum err
door_new(const struct door_conf *conf, struct door **out)
{
	struct door *d;

	if (conf->loops == 0 || conf->loops > DOOR_LOOPS_MAX ||
	    conf->connections == 0)
		return ERR_CONFIG;
	d = calloc(1, sizeof(*d) + conf->loops * sizeof(d->loops[0]));
	if (d == NULL)
		return ERR_NOMEM;
	d->conf = *conf;
	d->fd = -1;
	d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->wake < 0) {
		free(d);
		return ERR_IO;
	}
	(void)pthread_mutex_init(&d->lock, NULL);
	*out = d;
	return ERR_OK;
}

enum err
door_open(struct door *d, int fd, struct MHD_Daemon *const *daemons)
{
	enum err e = ERR_IO;
	uint32_t i;

	d->fd = fd;
	for (i = 0; i < d->conf.loops; i++)
		d->loops[i].daemon = daemons[i];
	if (listen(fd, BACKLOG) == 0)
		e = pthread_create(&d->thread, NULL, door_main, d) == 0 ?
		    ERR_OK : ERR_INTERNAL;
	if (e == ERR_OK) {
		d->open = 1;
	} else {
		(void)close(fd);
		d->fd = -1;
	}
	return e;
}

void
door_close(struct door *d)
{
	if (!d->open)
		return;
	(void)pthread_mutex_lock(&d->lock);
	d->stop = 1;
	(void)pthread_mutex_unlock(&d->lock);
	wake(d);
	(void)pthread_join(d->thread, NULL);
	(void)close(d->fd);
	d->fd = -1;
	d->open = 0;
}

void
door_free(struct door **dp)
{
	struct door *d = *dp;

	if (d == NULL)
		return;
	door_close(d);
	tdestroy(d->addresses, free);
	(void)close(d->wake);
	(void)pthread_mutex_destroy(&d->lock);
	free(d);
	*dp = NULL;
}
