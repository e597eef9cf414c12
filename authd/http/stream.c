#include "authd/http/stream.h"

#include <sys/socket.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authd/http/reply.h"
#include "authd/http/server.h"
#include "lib/wire/problem.h"

#define BLOCK ((size_t)16 << 10)
/* What the kernel keeps for a reader that does not read, and no more. */
#define SEND_BUFFER (256 << 10)

struct stream {
	struct req *r;
	struct stream *next, *prev;
	struct feed_sub *sub;
	int poll;	      /* a long poll, no stream */
	int64_t deadline_ms;  /* of a poll */
	atomic_int asleep;    /* who sets it to 0 wakes the connection */
	enum err failed;      /* of a fill */
	int filling, done;
	/* What is being written: a frame's head, a message, its end. */
	struct feed_message *m;
	char head[96];
	const char *part[3];
	size_t len[3], off;
	unsigned at;
	struct buf bye;
};

struct streams {
	pthread_mutex_t lock; /* of the list */
	struct stream *first;
	int draining;
	uint32_t n, max, max_of_one;
};

enum err
streams_new(uint32_t connections, struct streams **out)
{
	struct streams *ss = calloc(1, sizeof(*ss));

	if (ss == NULL)
		return ERR_NOMEM;
	(void)pthread_mutex_init(&ss->lock, NULL);
	ss->max = connections / 4 * 3;
	ss->max_of_one = connections / 2;
	*out = ss;
	return ERR_OK;
}

void
streams_free(struct streams **pss)
{
	if (*pss == NULL)
		return;
	(void)pthread_mutex_destroy(&(*pss)->lock);
	free(*pss);
	*pss = NULL;
}

static struct http *
server(const struct stream *s)
{
	return s->r->conn->listener->http;
}

/* The handler of a poll once more; from any thread, under any lock. */
static void
run_again(struct stream *s)
{
	struct http *h = server(s);
	struct req *r = s->r;
	enum err e;

	r->polled = 1;
	r->deadline_ms = http_now_ms(h) + h->conf.deadline_ms;
	e = queue_reserve(h->queue);
	if (e == ERR_OK) {
		queue_push(h->queue, r);
		return;
	}
	reply_error(r, e);
	r->state = REQ_ANSWERED;
	MHD_resume_connection(r->mc);
}

static void
wake(struct stream *s)
{
	if (!atomic_exchange(&s->asleep, 0))
		return;
	if (s->poll)
		run_again(s);
	else
		MHD_resume_connection(s->r->mc);
}

/* Of the feed. Who is cut has a full socket that nothing else would end. */
static void
on_feed(void *arg, int cut)
{
	struct stream *s = arg;

	if (cut)
		(void)shutdown(s->r->conn->fd, SHUT_RDWR);
	wake(s);
}

static int
is_draining(struct streams *ss)
{
	int is;

	(void)pthread_mutex_lock(&ss->lock);
	is = ss->draining;
	(void)pthread_mutex_unlock(&ss->lock);
	return is;
}

void
streams_drain(struct streams *ss)
{
	struct stream *s;

	(void)pthread_mutex_lock(&ss->lock);
	ss->draining = 1;
	for (s = ss->first; s != NULL; s = s->next)
		wake(s);
	(void)pthread_mutex_unlock(&ss->lock);
}

void
streams_tick(struct streams *ss, int64_t now_ms)
{
	struct stream *s;

	(void)pthread_mutex_lock(&ss->lock);
	for (s = ss->first; s != NULL; s = s->next)
		if (s->poll && now_ms >= s->deadline_ms)
			wake(s);
	(void)pthread_mutex_unlock(&ss->lock);
}

/* Whether there is a place for one more of its tenant. */
static int
is_room(const struct streams *ss, const struct stream *s)
{
	const struct stream *o;
	uint32_t n = 0;

	for (o = ss->first; o != NULL && ss->n >= ss->max_of_one; o = o->next)
		n += o->r->call.tenant == s->r->call.tenant;
	return ss->n < ss->max && n < ss->max_of_one;
}

static enum err
enlist(struct stream *s)
{
	struct streams *ss = server(s)->streams;
	enum err e;

	(void)pthread_mutex_lock(&ss->lock);
	e = ss->draining ? ERR_NOT_READY : is_room(ss, s) ? ERR_OK : ERR_BUSY;
	if (e == ERR_OK) {
		s->prev = NULL;
		s->next = ss->first;
		if (ss->first != NULL)
			ss->first->prev = s;
		ss->first = s;
		ss->n++;
	}
	(void)pthread_mutex_unlock(&ss->lock);
	return e;
}

static void
delist(struct stream *s)
{
	struct streams *ss = server(s)->streams;

	(void)pthread_mutex_lock(&ss->lock);
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		ss->first = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	ss->n--;
	(void)pthread_mutex_unlock(&ss->lock);
}

static enum err
stream_new(struct req *r, uint64_t after, int poll)
{
	struct stream *s = calloc(1, sizeof(*s));
	enum err e;

	if (s == NULL)
		return ERR_NOMEM;
	s->r = r;
	s->poll = poll;
	s->deadline_ms = INT64_MAX;
	s->bye.max = 4096;
	e = core_sub_open(&r->call, after, poll, on_feed, s, &s->sub);
	if (e == ERR_OK)
		e = enlist(s);
	if (e != ERR_OK) {
		core_sub_close(&s->sub);
		free(s);
		return e;
	}
	r->stream = s;
	return ERR_OK;
}

enum err
stream_open(struct req *r, uint64_t after)
{
	const int size = SEND_BUFFER;
	enum err e = stream_new(r, after, 0);

	if (e == ERR_OK)
		(void)setsockopt(r->conn->fd, SOL_SOCKET, SO_SNDBUF, &size,
		    sizeof(size));
	return e;
}

enum err
stream_poll(struct req *r, uint64_t after, uint64_t wait)
{
	struct http *h = r->conn->listener->http;
	enum err e = stream_new(r, after, 1);

	if (e == ERR_OK)
		r->stream->deadline_ms = http_now_ms(h) +
		    (int64_t)wait * 1000;
	return e;
}

int
stream_is_poll(const struct req *r)
{
	return r->stream != NULL && r->stream->poll;
}

/* From the arm on, whoever wakes the request has it. */
static void
sleep_now(struct stream *s)
{
	struct streams *ss = server(s)->streams;
	struct feed_sub *sub = s->sub;

	/* The list's lock keeps s whole while it is looked at once more. */
	(void)pthread_mutex_lock(&ss->lock);
	atomic_store(&s->asleep, 1);
	if (ss->draining)
		wake(s);
	else
		core_sub_arm(sub);
	(void)pthread_mutex_unlock(&ss->lock);
}

void
stream_sleep(struct req *r)
{
	sleep_now(r->stream);
}

void
stream_end(struct req *r)
{
	struct stream *s = r->stream;

	if (s == NULL)
		return;
	delist(s);
	core_sub_close(&s->sub);
	feed_message_free(&s->m);
	buf_free(&s->bye);
	r->stream = NULL;
	free(s);
}

/* ---- writing ---- */

static void
frame(struct stream *s, const char *event, uint64_t id, const char *text,
    size_t len)
{
	int n;

	/* An id only where all up to it has been given. */
	if (id != 0)
		n = snprintf(s->head, sizeof(s->head), "id: %" PRIu64
		    "\nevent: %s\ndata: ", id, event);
	else
		n = snprintf(s->head, sizeof(s->head), "event: %s\ndata: ",
		    event);
	s->part[0] = s->head;
	s->len[0] = (size_t)n;
	s->part[1] = text;
	s->len[1] = len;
	s->part[2] = "\n\n";
	s->len[2] = 2;
	s->at = 0;
	s->off = 0;
}

static void
frame_message(struct stream *s)
{
	static const char *const names[] = {"revocations", "heartbeat",
	    "keys"};
	enum feed_kind kind = feed_message_kind(s->m);
	const char *text;
	size_t len;

	text = feed_message_text(s->m, &len);
	frame(s, names[kind], kind == FEED_EVENTS ? feed_message_id(s->m) : 0,
	    text, len);
}

static void
frame_bye(struct stream *s)
{
	s->done = 1;
	if (wire_problem_encode(ERR_NOT_READY, &s->r->call.detail,
	    s->r->call.request_id, &s->bye) != ERR_OK)
		return;
	frame(s, "bye", 0, s->bye.p, s->bye.len);
}

/* Copies what fits of the frame under way; 0: there is none. */
static size_t
copy(struct stream *s, char *out, size_t max)
{
	size_t n = 0, k;

	while (s->part[0] != NULL && n < max) {
		k = s->len[s->at] - s->off;
		if (k > max - n)
			k = max - n;
		memcpy(out + n, s->part[s->at] + s->off, k);
		n += k;
		s->off += k;
		if (s->off < s->len[s->at])
			break;
		s->off = 0;
		if (++s->at == 3) {
			s->part[0] = NULL;
			feed_message_free(&s->m);
		}
	}
	return n;
}

/* A worker reads for it; full queues end the stream, it will come back. */
static ssize_t
ask_fill(struct stream *s)
{
	struct http *h = server(s);
	struct req *r = s->r;

	if (queue_reserve(h->queue) != ERR_OK)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	s->filling = 1;
	r->deadline_ms = http_now_ms(h) + h->conf.deadline_ms;
	MHD_suspend_connection(r->mc);
	queue_push(h->queue, r);
	return 0;
}

static ssize_t
rest(struct stream *s)
{
	MHD_suspend_connection(s->r->mc);
	sleep_now(s);
	return 0;
}

/* 1: a frame is under way; else *ret is what the reader returns. */
static int
advance(struct stream *s, ssize_t *ret)
{
	if (s->done) {
		*ret = MHD_CONTENT_READER_END_OF_STREAM;
		return 0;
	}
	if (is_draining(server(s)->streams)) {
		frame_bye(s);
		return 1;
	}
	if (s->failed != ERR_OK) {
		*ret = MHD_CONTENT_READER_END_WITH_ERROR;
		return 0;
	}
	switch (core_sub_next(s->sub, &s->m)) {
	case FEED_MESSAGE:
		frame_message(s);
		return 1;
	case FEED_NONE:
		*ret = rest(s);
		return 0;
	case FEED_FILL:
		*ret = ask_fill(s);
		return 0;
	case FEED_END:
		break;
	}
	*ret = MHD_CONTENT_READER_END_WITH_ERROR;
	return 0;
}

/* MHD_ContentReaderCallback. s lives until the request is completed. */
static ssize_t
on_read(void *cls, uint64_t pos, char *out, size_t max)
{
	struct stream *s = cls;
	ssize_t ret = 0;
	size_t n;

	(void)pos;
	for (;;) {
		n = copy(s, out, max);
		if (n > 0)
			return (ssize_t)n;
		if (!advance(s, &ret))
			return ret;
	}
}

struct MHD_Response *
stream_response(struct req *r)
{
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK,
	    on_read, r->stream, NULL);
}

void
stream_fill(struct req *r, enum err why)
{
	struct stream *s = r->stream;

	s->filling = 0;
	s->failed = why == ERR_OK ? core_sub_fill(r->call.core,
	    r->call.tenant, s->sub) : why;
	MHD_resume_connection(r->mc);
}
