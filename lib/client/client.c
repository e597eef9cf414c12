#include "lib/client/client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/base/file.h"
#include "lib/base/parse.h"
#include "lib/client/base_url.h"
#include "lib/client/easy.h"
#include "lib/model/caller.h"

/*
 * One easy handle, kept, so that the connection and its TLS session live from
 * call to call. Everything that comes in is bounded: answer, headers, time.
 */
#define TRIES 4
#define TIMEOUT_MS 10000
#define ANSWER_MAX (1u << 20)
#define RETRY_AFTER_MAX_MS 5000
#define BACKOFF_MS 50
#define CREDENTIAL_FILE_MAX 256

struct client {
	CURL *curl;
	char *url;
	struct secret bearer; /* "Authorization: Bearer …" with its NUL */
	uint32_t timeout_ms;
	uint32_t tries;
	size_t answer_max;
	unsigned seed;
	int64_t date; /* of the last answer; 0: it did not say */
};

/* What one try gave. */
struct attempt {
	struct buf *body; /* of any status; bounded by .max */
	int overflow;
	long retry_after_ms; /* -1: not said */
	long status;	     /* 0: no answer */
	int64_t date;	     /* 0: not said */
	CURLcode rc;
};

enum err
client_new(const struct client_conf *conf, struct client **out)
{
	struct client *c = NULL;
	enum err e;

	easy_start();
	e = base_url_check(conf->url);
	if (e != ERR_OK)
		return e;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return ERR_NOMEM;
	c->timeout_ms = conf->timeout_ms ? conf->timeout_ms : TIMEOUT_MS;
	c->tries = conf->tries ? conf->tries : TRIES;
	c->answer_max = conf->answer_max ? conf->answer_max : ANSWER_MAX;
	c->seed = (unsigned)time(NULL) ^ (unsigned)(uintptr_t)c;
	c->url = strdup(conf->url);
	c->curl = curl_easy_init();
	e = ERR_NOMEM;
	if (c->url == NULL || c->curl == NULL)
		goto out;
	while (c->url[0] != '\0' && c->url[strlen(c->url) - 1] == '/')
		c->url[strlen(c->url) - 1] = '\0';
	e = easy_bearer(&c->bearer, conf->credential);
	if (e == ERR_OK)
		e = easy_options(c->curl, conf->ca_file);
	if (e != ERR_OK)
		goto out;
	*out = c;
	c = NULL;
out:
	client_free(&c);
	return e;
}

void
client_free(struct client **cp)
{
	struct client *c = *cp;

	if (c == NULL)
		return;
	if (c->curl != NULL)
		curl_easy_cleanup(c->curl);
	secret_free(&c->bearer);
	free(c->url);
	free(c);
	*cp = NULL;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct attempt *a = arg;

	(void)size;
	if (buf_add(a->body, p, n) != ERR_OK) {
		a->overflow = 1;
		return 0;
	}
	return n;
}

/* 1 and the value of the header of that name ("date:"), if it is one. */
static int
header_is(const char *p, size_t n, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	if (n <= len || strncasecmp(p, name, len) != 0)
		return 0;
	for (p += len, n -= len; n > 0 && *p == ' '; p++)
		n--;
	while (n > 0 && (p[n - 1] == '\r' || p[n - 1] == '\n'))
		n--;
	if (n == 0 || n >= size)
		return 0;
	memcpy(out, p, n);
	out[n] = '\0';
	return 1;
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct attempt *a = arg;
	char text[40];
	uint64_t seconds;

	(void)size;
	if (header_is(p, n, "retry-after:", text, sizeof(text)) &&
	    parse_u64(text, 3600, &seconds) == ERR_OK)
		a->retry_after_ms = (long)seconds * 1000;
	if (header_is(p, n, "date:", text, sizeof(text)))
		a->date = (int64_t)curl_getdate(text, NULL);
	return n;
}

static enum err
headers_make(const struct client *c, const char *type,
    struct curl_slist **out)
{
	struct curl_slist *list = NULL;
	char line[160];
	enum err e;

	(void)snprintf(line, sizeof(line), "Content-Type: %s",
	    type != NULL ? type : "application/json");
	e = easy_header(&list, line);
	if (e == ERR_OK) /* no round trip to ask for leave */
		e = easy_header(&list, "Expect:");
	if (e == ERR_OK && c->bearer.len > 0)
		e = easy_header(&list, (const char *)c->bearer.p);
	if (e != ERR_OK) {
		easy_headers_free(list);
		return e;
	}
	*out = list;
	return ERR_OK;
}

static enum err
prepare(struct client *c, const char *method, const char *url,
    const struct buf *body, struct curl_slist *headers, struct attempt *a)
{
	CURL *h = c->curl;
	int bad = 0;

	bad |= curl_easy_setopt(h, CURLOPT_URL, url) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_HTTPGET, 1L) != CURLE_OK;
	if (body != NULL) {
		bad |= curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)body->len) != CURLE_OK;
		bad |= curl_easy_setopt(h, CURLOPT_POSTFIELDS,
		    body->p != NULL ? body->p : "") != CURLE_OK;
	}
	bad |= curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)c->timeout_ms) !=
	    CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)c->timeout_ms) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_WRITEDATA, a) != CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header) !=
	    CURLE_OK;
	bad |= curl_easy_setopt(h, CURLOPT_HEADERDATA, a) != CURLE_OK;
	return bad ? ERR_INTERNAL : ERR_OK;
}

/* 1 when the request cannot have reached authd. */
static int
never_sent(CURLcode rc)
{
	return rc == CURLE_COULDNT_CONNECT ||
	    rc == CURLE_COULDNT_RESOLVE_HOST || rc == CURLE_SSL_CONNECT_ERROR;
}

static int
may_retry(const char *method, const struct attempt *a)
{
	if (a->overflow)
		return 0;
	if (a->status == 429 || a->status == 503)
		return 1;
	if (a->status != 0)
		return 0;
	/* A certificate that is not trusted stays so. */
	if (a->rc == CURLE_PEER_FAILED_VERIFICATION ||
	    a->rc == CURLE_SSL_CACERT_BADFILE)
		return 0;
	return strcmp(method, "POST") != 0 || never_sent(a->rc);
}

/* Full jitter over a doubling step; authd's own word comes first. */
static void
back_off(struct client *c, uint32_t try, long retry_after_ms)
{
	long step = (long)BACKOFF_MS << (try < 6 ? try : 6);
	long ms = step / 2 + (long)(rand_r(&c->seed) % (unsigned)step);
	struct timespec ts;

	if (retry_after_ms >= 0 && ms < retry_after_ms)
		ms = retry_after_ms;
	if (ms > RETRY_AFTER_MAX_MS)
		ms = RETRY_AFTER_MAX_MS;
	ts.tv_sec = ms / 1000;
	ts.tv_nsec = (ms % 1000) * 1000000;
	nanosleep(&ts, NULL);
}

static enum err
one_try(struct client *c, const char *method, const char *url,
    const char *type, const struct buf *body, struct attempt *a)
{
	struct curl_slist *headers = NULL;
	enum err e;

	a->overflow = 0;
	a->retry_after_ms = -1;
	a->status = 0;
	a->date = 0;
	buf_reset(a->body);
	e = headers_make(c, type, &headers);
	if (e != ERR_OK)
		return e;
	e = prepare(c, method, url, body, headers, a);
	if (e == ERR_OK) {
		a->rc = curl_easy_perform(c->curl);
		c->date = a->date > 0 ? a->date : 0;
		if (a->rc == CURLE_OK)
			(void)curl_easy_getinfo(c->curl,
			    CURLINFO_RESPONSE_CODE, &a->status);
	}
	(void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
	(void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, NULL);
	easy_headers_free(headers);
	return e;
}

static void
tell_network(const struct client *c, const struct attempt *a,
    struct problem *why)
{
	memset(why, 0, sizeof(*why));
	why->err = a->overflow ? ERR_TOO_LARGE : ERR_NETWORK;
	if (a->rc == CURLE_PEER_FAILED_VERIFICATION ||
	    a->rc == CURLE_SSL_CACERT_BADFILE)
		why->err = ERR_CONFIG;
	(void)snprintf(why->detail, sizeof(why->detail), "%s: %s", c->url,
	    a->overflow ? "the answer is larger than expected" :
			  curl_easy_strerror(a->rc));
}

enum err
client_call(struct client *c, const char *method, const char *path,
    const char *type, const struct buf *body, struct buf *answer,
    struct problem *why)
{
	struct buf raw = {.max = c->answer_max};
	struct buf url = {.max = 8192};
	struct attempt a = {.body = &raw};
	struct problem p;
	uint32_t try;
	enum err e;

	memset(&p, 0, sizeof(p));
	p.err = ERR_INTERNAL;
	/* Without its slash a path could lengthen the host. */
	e = path[0] != '/' ? ERR_INTERNAL :
	    buf_fmt(&url, "%s%s", c->url, path);
	for (try = 0; e == ERR_OK; try++) {
		e = one_try(c, method, url.p, type, body, &a);
		if (e != ERR_OK || try + 1 >= c->tries ||
		    !may_retry(method, &a))
			break;
		back_off(c, try, a.retry_after_ms);
	}
	if (e != ERR_OK)
		goto out;
	if (a.status == 0) {
		tell_network(c, &a, &p);
		e = p.err;
		goto out;
	}
	if (a.status < 200 || a.status > 299) {
		wire_problem_decode((int)a.status, raw.p, raw.len, &p);
		e = p.err != ERR_OK ? p.err : ERR_INTERNAL;
		goto out;
	}
	if (answer == NULL)
		goto out;
	buf_reset(answer);
	if (answer->max == 0)
		answer->max = c->answer_max;
	e = raw.len > 0 ? buf_add(answer, raw.p, raw.len) : ERR_OK;
out:
	if (why != NULL && e != ERR_OK) {
		*why = p;
		why->err = e;
	}
	buf_free(&raw);
	buf_free(&url);
	return e;
}

int64_t
client_date(const struct client *c)
{
	return c->date;
}

const char *
client_credential_fault(enum err e)
{
	switch (e) {
	case ERR_NOT_FOUND:
		return "no such file";
	case ERR_CONFIG:
		return "must be a file with one credential and mode 0600";
	default:
		return err_text(e);
	}
}

enum err
client_read_credential(const char *path, struct secret *out)
{
	struct secret file = {0};
	size_t len = 0;
	enum err e;

	e = file_read_secret(path, CREDENTIAL_FILE_MAX, &file);
	if (e != ERR_OK)
		return e;
	while (len < file.len && file.p[len] != '\n' && file.p[len] != '\r')
		len++;
	if (len != CREDENTIAL_LEN ||
	    memcmp(file.p, CREDENTIAL_PREFIX, strlen(CREDENTIAL_PREFIX)) != 0)
		e = ERR_CONFIG;
	else
		e = secret_set(out, file.p, len);
	secret_free(&file);
	return e;
}
