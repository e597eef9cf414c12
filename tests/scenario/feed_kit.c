#include "tests/scenario/feed_kit.h"

#include <jansson.h>
#include <time.h>

#include "lib/base/b64url.h"

void
feed_open(struct feed *f)
{
	static const char *const extra[] = {"--issuer", ISSUER, NULL};
	static const char *const more[] = {"--issuer", ISSUER, "--no-notify",
	    "--poll-interval", "300ms", NULL};

	memset(f, 0, sizeof(*f));
	world_open(&f->w, extra);
	assert_int_equal(authd_fixture_second(f->w.authd, more, &f->second),
	    0);
}

void
feed_close(struct feed *f)
{
	authd_fixture_stop(&f->second);
	jwks_free(&f->keys);
	world_close(&f->w);
}

uint16_t
feed_port(const struct feed *f)
{
	return authd_fixture_api(f->w.authd);
}

int64_t
feed_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
feed_keys(struct feed *f, const char *jws, size_t len)
{
	const char *a = memchr(jws, '.', len), *b;
	char *text = malloc(len), *set;
	size_t n = len;
	json_t *o;

	assert_non_null(a);
	b = memchr(a + 1, '.', len - (size_t)(a + 1 - jws));
	assert_int_equal(b64url_decode(a + 1, (size_t)(b - a) - 1, text, &n),
	    ERR_OK);
	o = json_loadb(text, n, 0, NULL);
	set = json_dumps(json_object_get(o, "feed"), 0);
	assert_non_null(set);
	jwks_free(&f->keys);
	assert_int_equal(jwks_parse(set, strlen(set), &f->keys), ERR_OK);
	free(set);
	json_decref(o);
	free(text);
}

struct sse *
feed_listen(struct feed *f, uint16_t port, uint64_t after)
{
	struct sse *s = sse_open(port, f->w.admin, after, FEED_NONE);
	struct sse_event e;

	assert_non_null(s);
	assert_int_equal(sse_next(s, 5000, &e), 1);
	assert_string_equal(e.name, "keys");
	feed_keys(f, e.data, e.len);
	assert_int_equal(sse_next(s, 5000, &e), 1);
	assert_string_equal(e.name, "heartbeat");
	return s;
}

void
feed_wait(struct sse *s, const char *name, int ms, struct sse_event *e)
{
	int64_t until = feed_now_ms() + ms;
	int r = 0;

	while (feed_now_ms() <= until) {
		r = sse_next(s, (int)(until - feed_now_ms()) + 1, e);
		if (r < 0 || (r == 1 && strcmp(e->name, name) == 0))
			break;
	}
	if (r != 1)
		fail_msg("no %s within %d ms", name, ms);
}

uint64_t
feed_revoke(const struct feed *f, uint16_t port, const char *jti)
{
	struct http_answer *a = malloc(sizeof(*a));
	char body[128];
	uint64_t pos = 0;
	const char *p;

	(void)snprintf(body, sizeof(body), "{\"kind\":\"token\",\"id\":"
	    "\"%s\",\"effect\":\"cut\"}", jti);
	if (a != NULL && http_ask(port, "POST", "/v1/revocations", f->w.admin,
	    TYPE_JSON, body, -1, a) == 0 && a->status == 201) {
		p = strstr(a->body, "\"pos\":");
		pos = p == NULL ? 0 : strtoull(p + 6, NULL, 10);
	}
	free(a);
	return pos;
}

void
feed_read(const struct feed *f, const struct sse_event *e,
    struct set_run *run)
{
	struct detail d = {""};
	enum err err;

	err = set_verify(f->keys, ISSUER, e->data, e->len, run, &d);
	if (err != ERR_OK)
		fail_msg("%s: %s", err_name(err), d.text);
	assert_true(e->id == run->events[run->n - 1].pos);
}
