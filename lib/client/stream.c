#include "lib/client/stream.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/client/base_url.h"
#include "lib/client/easy.h"

#define PROBLEM_MAX 8192
#define HEADERS_MAX 8
#define TYPE "text/event-stream"

struct stream {
	CURLM *multi;
	CURL *easy;
	char *url;
	struct secret bearer;
	uint32_t connect_ms;
	size_t max;
	sse_fn *fn;
	void *arg;

	struct curl_slist *headers;
	struct sse sse;
	struct buf problem;
	int running;
	enum err err; /* what ended it from our side */
};

static enum err
make_handles(struct stream *s, const struct stream_conf *conf)
{
	size_t n;

	s->multi = curl_multi_init();
	s->easy = curl_easy_init();
	s->url = strdup(conf->url);
	if (s->multi == NULL || s->easy == NULL || s->url == NULL)
		return ERR_NOMEM;
	for (n = strlen(s->url); n > 0 && s->url[n - 1] == '/'; n--)
		s->url[n - 1] = '\0';
	return easy_options(s->easy, conf->ca_file);
}

enum err
stream_new(const struct stream_conf *conf, struct stream **out)
{
	struct stream *s;
	enum err e;

	easy_start();
	e = base_url_check(conf->url);
	if (e != ERR_OK)
		return e;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return ERR_NOMEM;
	s->connect_ms = conf->connect_ms;
	s->max = conf->message_max;
	s->fn = conf->message;
	s->arg = conf->arg;
	e = make_handles(s, conf);
	if (e == ERR_OK)
		e = easy_bearer(&s->bearer, conf->credential);
	if (e == ERR_OK) {
		*out = s;
		s = NULL;
	}
	stream_free(&s);
	return e;
}

void
stream_stop(struct stream *s)
{
	if (s->running)
		(void)curl_multi_remove_handle(s->multi, s->easy);
	s->running = 0;
	if (s->easy != NULL)
		(void)curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, NULL);
	easy_headers_free(s->headers);
	s->headers = NULL;
	sse_free(&s->sse);
	buf_free(&s->problem);
}

void
stream_free(struct stream **sp)
{
	struct stream *s = *sp;

	if (s == NULL)
		return;
	stream_stop(s);
	curl_easy_cleanup(s->easy);
	curl_multi_cleanup(s->multi);
	secret_free(&s->bearer);
	free(s->url);
	free(s);
	*sp = NULL;
}

void
stream_wake(struct stream *s)
{
	(void)curl_multi_wakeup(s->multi);
}

/* A stream by status and type? Else what comes is a problem document. */
static int
is_stream(struct stream *s)
{
	char *type = NULL;
	long status = 0;

	(void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(s->easy, CURLINFO_CONTENT_TYPE, &type);
	return status == 200 && type != NULL &&
	    strncmp(type, TYPE, sizeof(TYPE) - 1) == 0;
}

static size_t
on_octets(char *p, size_t size, size_t n, void *arg)
{
	struct stream *s = arg;

	(void)size;
	if (is_stream(s))
		s->err = sse_feed(&s->sse, p, n);
	else
		s->err = buf_add(&s->problem, p, n);
	return s->err == ERR_OK ? n : 0;
}

static enum err
make_headers(struct stream *s, const char *const *more)
{
	enum err e;
	int i;

	e = easy_header(&s->headers, "Accept: " TYPE);
	if (e == ERR_OK && s->bearer.len > 0)
		e = easy_header(&s->headers, (const char *)s->bearer.p);
	for (i = 0; e == ERR_OK && i < HEADERS_MAX && more[i] != NULL; i++)
		e = easy_header(&s->headers, more[i]);
	return e;
}

static enum err
prepare(struct stream *s, const char *url)
{
	CURL *h = s->easy;
	int bad = 0;

	bad |= curl_easy_setopt(h, CURLOPT_URL, url) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_HTTPGET, 1L) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_HTTPHEADER, s->headers) !=
	    CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)s->connect_ms) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_octets) !=
	    CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_WRITEDATA, s) != CURLE_OK;
	return bad ? ERR_INTERNAL : ERR_OK;
}

enum err
stream_start(struct stream *s, const char *path, const char *const *headers)
{
	struct buf url = {.max = 8192};
	enum err e;

	stream_stop(s);
	sse_init(&s->sse, s->max, s->fn, s->arg);
	s->problem.max = PROBLEM_MAX;
	s->err = ERR_OK;
	e = path[0] != '/' ? ERR_INTERNAL :
	    buf_fmt(&url, "%s%s", s->url, path);
	if (e == ERR_OK)
		e = make_headers(s, headers);
	if (e == ERR_OK)
		e = prepare(s, url.p);
	if (e == ERR_OK && curl_multi_add_handle(s->multi, s->easy) !=
	    CURLM_OK)
		e = ERR_NOMEM;
	buf_free(&url);
	s->running = e == ERR_OK;
	return e;
}

/* How it ended. */
static enum err
over(struct stream *s, CURLcode rc, struct problem *why)
{
	long status = 0;

	memset(why, 0, sizeof(*why));
	(void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	if (s->err != ERR_OK)
		why->err = s->err;
	else if (status == 200)
		why->err = is_stream(s) ? ERR_NETWORK : ERR_NOT_FOUND;
	else if (rc == CURLE_OK)
		wire_problem_decode((int)status, s->problem.p,
		    s->problem.len, why);
	else
		why->err = rc == CURLE_PEER_FAILED_VERIFICATION ||
		    rc == CURLE_SSL_CACERT_BADFILE ? ERR_CONFIG : ERR_NETWORK;
	if (why->err == ERR_OK)
		why->err = ERR_INTERNAL;
	if (why->detail[0] == '\0')
		(void)snprintf(why->detail, sizeof(why->detail), "%s: %s",
		    s->url, rc == CURLE_OK || s->err != ERR_OK ?
		    err_text(why->err) : curl_easy_strerror(rc));
	stream_stop(s);
	return why->err;
}

/* 1 and how it ended, if it has. */
static int
ended(struct stream *s, CURLcode *rc)
{
	const CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(s->multi, &left)) != NULL)
		if (m->msg == CURLMSG_DONE) {
			*rc = m->data.result;
			return 1;
		}
	return 0;
}

enum err
stream_run(struct stream *s, uint32_t wait_ms, struct problem *why)
{
	CURLcode rc = CURLE_OK;
	int left;

	if (!s->running)
		return over(s, CURLE_SEND_ERROR, why);
	if (curl_multi_perform(s->multi, &left) != CURLM_OK)
		return over(s, CURLE_SEND_ERROR, why);
	if (ended(s, &rc))
		return over(s, rc, why);
	if (curl_multi_poll(s->multi, NULL, 0, (int)wait_ms, NULL) !=
	    CURLM_OK || curl_multi_perform(s->multi, &left) != CURLM_OK)
		return over(s, CURLE_SEND_ERROR, why);
	return ended(s, &rc) ? over(s, rc, why) : ERR_OK;
}
