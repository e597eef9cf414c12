#include "tests/helpers/http_raw.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

int
http_connect(uint16_t port)
{
	const struct timeval limit = {30, 0};
	struct sockaddr_in sa = {.sin_family = AF_INET,
	    .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return -1;
	/* small writes follow one another: no waiting for ACKs */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

int
http_send(int fd, const char *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static const char *
find_header(const struct http_answer *a, const char *name)
{
	const char *p = a->head;
	size_t len = strlen(name);

	while ((p = strstr(p, "\r\n")) != NULL) {
		p += 2;
		if (strncasecmp(p, name, len) == 0 && p[len] == ':')
			return p + len + 1 + strspn(p + len + 1, " ");
	}
	return NULL;
}

/* One octet at a time until the empty line: heads are small. */
static int
read_head(http_read_fn *fn, void *from, struct http_answer *a)
{
	size_t n = 0;

	while (n + 1 < sizeof(a->head)) {
		if (fn(from, a->head + n, 1) != 1)
			return -1;
		a->head[++n] = '\0';
		if (n >= 4 && strcmp(a->head + n - 4, "\r\n\r\n") == 0)
			break;
	}
	return strncmp(a->head, "HTTP/1.1 ", 9) == 0 ? 0 : -1;
}

static int
read_body(http_read_fn *fn, void *from, struct http_answer *a)
{
	const char *text = find_header(a, "Content-Length");
	size_t want = text == NULL ? 0 : strtoul(text, NULL, 10);
	ssize_t n;

	if (want >= sizeof(a->body))
		return -1;
	while (a->body_len < want) {
		n = fn(from, a->body + a->body_len, want - a->body_len);
		if (n <= 0)
			return -1;
		a->body_len += (size_t)n;
	}
	a->body[a->body_len] = '\0';
	return 0;
}

int
http_receive_by(http_read_fn *fn, void *from, int head_only,
    struct http_answer *out)
{
	out->status = 0;
	out->head[0] = out->body[0] = '\0';
	out->body_len = 0;
	if (read_head(fn, from, out) != 0)
		return -1;
	out->status = (int)strtol(out->head + 9, NULL, 10);
	return head_only ? 0 : read_body(fn, from, out);
}

static ssize_t
read_socket(void *from, void *p, size_t len)
{
	return recv(*(const int *)from, p, len, 0);
}

int
http_receive(int fd, int head_only, struct http_answer *out)
{
	return http_receive_by(read_socket, &fd, head_only, out);
}

int
http_raw(uint16_t port, const char *request, size_t len,
    struct http_answer *out)
{
	int fd = http_connect(port), r;

	if (fd < 0) {
		memset(out, 0, sizeof(*out));
		return -1;
	}
	/* A server that refuses early may close before all is sent. */
	(void)http_send(fd, request, len);
	r = http_receive(fd, strncmp(request, "HEAD ", 5) == 0, out);
	(void)close(fd);
	return r;
}

int
http_ask(uint16_t port, const char *method, const char *path,
    const char *credential, const char *type, const char *body, long length,
    struct http_answer *out)
{
	size_t size = 8192 + (body == NULL ? 0 : strlen(body)), n;
	char *text = malloc(size);
	int r;

	if (text == NULL)
		return -1;
	n = (size_t)snprintf(text, size, "%s %s HTTP/1.1\r\nHost: t\r\n",
	    method, path);
	if (credential != NULL)
		n += (size_t)snprintf(text + n, size - n,
		    "Authorization: Bearer %s\r\n", credential);
	if (type != NULL)
		n += (size_t)snprintf(text + n, size - n,
		    "Content-Type: %s\r\n", type);
	if (body != NULL || length >= 0)
		n += (size_t)snprintf(text + n, size - n,
		    "Content-Length: %ld\r\n",
		    length >= 0 ? length : (long)strlen(body));
	n += (size_t)snprintf(text + n, size - n, "\r\n%s",
	    body == NULL ? "" : body);
	r = http_raw(port, text, n, out);
	free(text);
	return r;
}

int
http_has(const struct http_answer *a, const char *name, const char *value)
{
	const char *v = find_header(a, name);

	return v != NULL && strncasecmp(v, value, strlen(value)) == 0;
}

int
http_member(const struct http_answer *a, const char *name, char *out,
    size_t size)
{
	char key[80];
	const char *p;
	size_t len;

	(void)snprintf(key, sizeof(key), "\"%s\":\"", name);
	p = strstr(a->body, key);
	if (p == NULL)
		return -1;
	p += strlen(key);
	len = strcspn(p, "\"");
	if (len >= size)
		return -1;
	memcpy(out, p, len);
	out[len] = '\0';
	return 0;
}
