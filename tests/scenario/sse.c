#include "tests/scenario/sse.h"

#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROOM ((size_t)1 << 20)

struct sse {
	int fd;
	size_t raw_len; /* octets as they came, chunked */
	size_t len;	/* of text */
	size_t used;	/* of text, by the event given last */
	int ended;
	char raw[ROOM];
	char text[2 * ROOM];
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Whole chunks of raw, moved to text. */
static void
dechunk(struct sse *s)
{
	size_t n, head;
	char *end;

	for (;;) {
		end = memchr(s->raw, '\n', s->raw_len);
		if (end == NULL)
			return;
		head = (size_t)(end + 1 - s->raw);
		n = strtoul(s->raw, NULL, 16);
		if (s->raw_len < head + n + 2 || s->len + n >= sizeof(s->text))
			return;
		s->ended |= n == 0;
		memcpy(s->text + s->len, s->raw + head, n);
		s->len += n;
		s->raw_len -= head + n + 2;
		memmove(s->raw, s->raw + head + n + 2, s->raw_len);
	}
}

/* 1 something came, 0 nothing, -1 the end. */
static int
receive(struct sse *s, int ms)
{
	struct pollfd p = {s->fd, POLLIN, 0};
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return 0;
	n = recv(s->fd, s->raw + s->raw_len, ROOM - 1 - s->raw_len, 0);
	if (n <= 0)
		return -1;
	s->raw_len += (size_t)n;
	s->raw[s->raw_len] = '\0';
	return 1;
}

static int
read_head(struct sse *s)
{
	int64_t until = now_ms() + 30000;
	char *end = NULL;

	while (end == NULL) {
		if (now_ms() > until || receive(s, 1000) < 0)
			return -1;
		end = strstr(s->raw, "\r\n\r\n");
	}
	if (strncmp(s->raw, "HTTP/1.1 200", 12) != 0)
		return -1;
	end += 4;
	s->raw_len -= (size_t)(end - s->raw);
	memmove(s->raw, end, s->raw_len);
	return 0;
}

struct sse *
sse_open(uint16_t port, const char *credential, uint64_t after,
    uint64_t last_id)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
	    .sin_port = htons(port)};
	struct sse *s = calloc(1, sizeof(*s));
	char text[1024], query[64] = "", id[64] = "";
	int n;

	if (s == NULL)
		return NULL;
	if (after != UINT64_MAX)
		(void)snprintf(query, sizeof(query), "?after=%llu",
		    (unsigned long long)after);
	if (last_id != UINT64_MAX)
		(void)snprintf(id, sizeof(id), "Last-Event-ID: %llu\r\n",
		    (unsigned long long)last_id);
	n = snprintf(text, sizeof(text), "GET /v1/revocations%s HTTP/1.1\r\n"
	    "Host: t\r\nAccept: text/event-stream\r\n%s"
	    "Authorization: Bearer %s\r\n\r\n", query, id, credential);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(s->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    send(s->fd, text, (size_t)n, MSG_NOSIGNAL) != n ||
	    read_head(s) != 0)
		sse_close(&s);
	return s;
}

static void
take_line(const char *line, size_t len, struct sse_event *e)
{
	if (len > 7 && memcmp(line, "event: ", 7) == 0)
		(void)snprintf(e->name, sizeof(e->name), "%.*s",
		    (int)(len - 7), line + 7);
	else if (len > 4 && memcmp(line, "id: ", 4) == 0)
		e->id = strtoull(line + 4, NULL, 10);
	else if (len > 6 && memcmp(line, "data: ", 6) == 0) {
		e->data = line + 6;
		e->len = len - 6;
	}
}

/* The first whole event of text; its lines end with NUL then. */
static int
parse(struct sse *s, struct sse_event *out)
{
	char *line = s->text, *nl;
	char *end = memmem(s->text, s->len, "\n\n", 2);

	if (end == NULL)
		return 0;
	memset(out, 0, sizeof(*out));
	for (; line < end; line = nl + 1) {
		nl = memchr(line, '\n', (size_t)(end + 1 - line));
		*nl = '\0';
		take_line(line, (size_t)(nl - line), out);
	}
	s->used = (size_t)(end + 2 - s->text);
	return 1;
}

int
sse_next(struct sse *s, int ms, struct sse_event *out)
{
	int64_t until = now_ms() + ms, left;
	int r;

	s->len -= s->used;
	memmove(s->text, s->text + s->used, s->len);
	s->used = 0;
	for (;;) {
		dechunk(s);
		if (parse(s, out))
			return 1;
		left = until - now_ms();
		if (s->ended)
			return -1;
		if (left < 0)
			return 0;
		r = receive(s, (int)left);
		if (r < 0)
			return -1;
	}
}

int
sse_fd(const struct sse *s)
{
	return s->fd;
}

void
sse_close(struct sse **s)
{
	if (*s == NULL)
		return;
	(void)close((*s)->fd);
	free(*s);
	*s = NULL;
}
