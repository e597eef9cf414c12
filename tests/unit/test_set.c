/*
 * The feed's signed messages: they come back as they were signed; those that
 * openssl signed are read; no wrong form, kind, key or issuer passes.
 */
#include "tests/unit/jose_kit.h"

#include <jansson.h>

#include "lib/base/b64url.h"
#include "lib/jose/jwk.h"
#include "lib/jose/set.h"

#define BASE (UINT64_C(1) << 40)
#define TYP_SET "secevent+jwt"
#define TYP_BEAT "fealty-heartbeat+jwt"
#define TYP_SNAP "fealty-snapshot+jwt"
#define TYP_KEYS "fealty-keys+jwt"

static struct verifier *root;
static struct buf out = {.max = 1 << 20};

static struct event
event_at(uint64_t pos)
{
	struct event e = {.pos = pos, .kind = EV_DEVICE,
	    .effect = EFFECT_BLOCK, .at = NOW};

	(void)snprintf(e.id, sizeof(e.id), "%d", 77);
	return e;
}

static enum err
read_set(const char *text, size_t len)
{
	struct set_run r = {0};
	struct detail d = {""};
	enum err e;

	e = set_verify(keys, ISS, text, len, &r, &d);
	set_run_free(&r);
	return e;
}

static enum err
read_beat(const char *text, size_t len)
{
	struct heartbeat h;

	return heartbeat_verify(keys, ISS, text, len, &h, NULL);
}

static enum err
read_snap(const char *text, size_t len)
{
	struct snapshot_part p = {0};
	enum err e = snapshot_verify(keys, ISS, text, len, &p, NULL);

	snapshot_part_free(&p);
	return e;
}

static enum err
read_keys(const char *text, size_t len)
{
	struct keyset k = {0};
	enum err e = keyset_verify(root, ISS, text, len, &k, NULL);

	keyset_free(&k);
	return e;
}

static enum err (*const readers[])(const char *, size_t) = {read_set,
    read_beat, read_snap, read_keys};
static const char *const typs[] = {TYP_SET, TYP_BEAT, TYP_SNAP, TYP_KEYS};

/* One good message of each kind, by its number, in out. */
static void
sign_one(int kind)
{
	struct event ev[3] = {event_at(BASE + 1), event_at(BASE + 2),
	    event_at(BASE + 3)};
	const struct set_run run = {BASE, BASE + 3, ev, 3};
	const struct heartbeat beat = {BASE + 3, BASE, 1800000000123};
	const struct snapshot_part part = {BASE + 9, BASE, 1, 2, ev, 3};
	const struct keyset ks = {3, NOW, keys, keys};
	enum err e = ERR_INTERNAL;

	buf_reset(&out);
	if (kind == 0)
		e = set_sign(signer, ISS, NOW, &run, &out);
	else if (kind == 1)
		e = heartbeat_sign(signer, ISS, &beat, &out);
	else if (kind == 2)
		e = snapshot_sign(signer, ISS, NOW, &part, &out);
	else
		e = keyset_sign(signer, ISS, &ks, &out);
	assert_int_equal(e, ERR_OK);
}

static void
what_is_signed_comes_back(void **state)
{
	struct set_run r = {0};
	struct keyset k = {0};
	struct detail d = {""};
	int i;

	for (i = 0; i < 4; i++) {
		sign_one(i);
		assert_int_equal(readers[i](out.p, out.len), ERR_OK);
	}
	sign_one(0);
	assert_int_equal(set_verify(keys, ISS, out.p, out.len, &r, &d),
	    ERR_OK);
	assert_int_equal(r.n, 3);
	assert_true(r.after == BASE && r.head == BASE + 3);
	assert_true(r.events[2].pos == BASE + 3);
	assert_string_equal(r.events[2].id, "77");
	assert_int_equal(r.events[2].at, NOW);
	set_run_free(&r);
	sign_one(3);
	assert_int_equal(keyset_verify(root, ISS, out.p, out.len, &k, &d),
	    ERR_OK);
	assert_true(k.version == 3);
	assert_non_null(jwks_find(k.feed, signer_kid(signer), KID_LEN));
	keyset_free(&k);
}

static void
a_run_of_the_greatest_length_fits(void **state)
{
	struct event *ev = calloc(SET_EVENTS_MAX + 1, sizeof(*ev));
	struct set_run run = {BASE, BASE + SET_EVENTS_MAX, ev,
	    SET_EVENTS_MAX}, got = {0};
	size_t i;

	assert_non_null(ev);
	for (i = 0; i <= SET_EVENTS_MAX; i++) {
		ev[i] = event_at(BASE + 1 + i);
		ev[i].kind = EV_TOKEN;
		memset(ev[i].id, 'a', NAME_MAX_LEN);
		ev[i].exp = (int64_t)NUMBER_MAX;
	}
	buf_reset(&out);
	assert_int_equal(set_sign(signer, ISS, NOW, &run, &out), ERR_OK);
	assert_true(out.len <= SET_MAX);
	assert_int_equal(set_verify(keys, ISS, out.p, out.len, &got, NULL),
	    ERR_OK);
	assert_int_equal(got.n, SET_EVENTS_MAX);
	set_run_free(&got);
	run.n++;
	run.head++;
	assert_int_equal(set_sign(signer, ISS, NOW, &run, &out), ERR_REQUEST);
	free(ev);
}

/* A message of one kind must never be taken for another. */
static void
another_kind_is_refused(void **state)
{
	int i, j;

	for (i = 0; i < 4; i++) {
		sign_one(i);
		for (j = 0; j < 4; j++)
			assert_int_equal(readers[j](out.p, out.len),
			    i == j ? ERR_OK : ERR_TOKEN);
	}
}

static void
a_key_that_may_not_sign_it_is_refused(void **state)
{
	const struct heartbeat beat = {BASE, 0, 1};
	struct signer *other = NULL, *ours = signer;
	struct es256_public pub;
	struct verifier *v = NULL;
	struct keyset k = {0};
	int i;

	assert_int_equal(signer_generate(&other), ERR_OK);
	signer = other;
	for (i = 0; i < 4; i++) {
		sign_one(i);
		assert_int_equal(readers[i](out.p, out.len), ERR_TOKEN_KEY);
	}
	signer = ours;
	/* A feed key is no root. */
	signer_public(other, &pub);
	assert_int_equal(verifier_new(&pub, &v), ERR_OK);
	sign_one(3);
	assert_int_equal(keyset_verify(v, ISS, out.p, out.len, &k, NULL),
	    ERR_TOKEN_KEY);
	buf_reset(&out);
	assert_int_equal(heartbeat_sign(signer, "https://other", &beat, &out),
	    ERR_OK);
	assert_int_equal(read_beat(out.p, out.len), ERR_TOKEN_ISSUER);
	verifier_free(&v);
	signer_free(&other);
}

static void
an_octet_changed_anywhere_is_noticed(void **state)
{
	size_t at;
	int i;

	for (i = 0; i < 4; i++) {
		sign_one(i);
		for (at = 0; at < out.len; at += 1 + out.len / 97) {
			out.p[at] ^= 1;
			assert_int_not_equal(readers[i](out.p, out.len),
			    ERR_OK);
			out.p[at] ^= 1;
		}
		for (at = 0; at < out.len; at += 1 + out.len / 97)
			assert_int_not_equal(readers[i](out.p, at), ERR_OK);
	}
}

/* Headers that are not ours, over claims that would do. */
static void
a_header_of_another_form_is_refused(void **state)
{
	static const char *const formats[] = {
	    "{\"alg\":\"none\",\"typ\":\"%s\"," K "}",
	    "{\"alg\":\"HS256\",\"typ\":\"%s\"," K "}",
	    "{\"alg\":\"ES384\",\"typ\":\"%s\"," K "}",
	    "{\"alg\":\"ES256\",\"typ\":\"JWT%s\"," K "}",
	    "{\"alg\":\"ES256\",\"typ\":\"%s\",\"crit\":[\"b64\"]," K "}",
	    "{\"alg\":\"ES256\",\"typ\":\"%s\",\"jku\":\"x\"," K "}",
	    "{\"alg\":\"ES256\",\"alg\":\"ES256\",\"typ\":\"%s\"," K "}",
	};
	static const char good[] = "{\"iss\":\"" ISS "\",\"head\":5,"
	    "\"floor\":0,\"time\":1}";
	char header[512];
	size_t i;

	(void)snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"typ\":"
	    "\"" TYP_BEAT "\"," K "}", signer_kid(signer));
	make_jws(header, good, 0, &out);
	assert_int_equal(read_beat(out.p, out.len), ERR_OK);
	for (i = 0; i < COUNT(formats); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(header, sizeof(header), formats[i], TYP_BEAT,
		    signer_kid(signer));
#pragma GCC diagnostic pop
		make_jws(header, good, 0, &out);
		assert_case(read_beat(out.p, out.len) == ERR_TOKEN,
		    formats[i]);
	}
}

#define I "\"iss\":\"" ISS "\","
#define EV(pos) "{\"pos\":" #pos ",\"kind\":\"device\",\"id\":\"7\"," \
    "\"effect\":\"cut\",\"ep_max\":0,\"exp\":0," \
    "\"at\":\"2026-11-22T17:34:37Z\"}"
#define S(iat, jti, body) "{" I iat jti "\"events\":{" \
    "\"urn:fealty:event:revocations\":{" body "}}}"
#define IAT "\"iat\":1,"
#define RUN(r) "\"after\":4,\"head\":9,\"run\":[" r "]"
#define P(x) "{" I IAT x "\"run\":[" EV(5) "]}"

/* Signed by the right key, and still refused. */
static const struct {
	int kind;
	const char *claims;
} malformed[] = {
    {0, "{}"}, {0, "[]"}, {0, "null"}, {0, "1"}, {0, ""}, {0, "{"},
    {0, S(IAT, "\"jti\":\"5\",", RUN(EV(5))) "x"},
    {0, S("", "\"jti\":\"5\",", RUN(EV(5)))},
    {0, S("\"iat\":-1,", "\"jti\":\"5\",", RUN(EV(5)))},
    {0, S("\"iat\":1.5,", "\"jti\":\"5\",", RUN(EV(5)))},
    {0, S("\"iat\":\"1\",", "\"jti\":\"5\",", RUN(EV(5)))},
    {0, S(IAT IAT, "\"jti\":\"5\",", RUN(EV(5)))},
    {0, S(IAT, "", RUN(EV(5)))},
    {0, S(IAT, "\"jti\":5,", RUN(EV(5)))},
    {0, S(IAT, "\"jti\":\"6\",", RUN(EV(5)))},
    {0, S(IAT, "\"jti\":\"05\",", RUN(EV(5)))},
    {0, S(IAT, "\"jti\":\"\",", RUN(EV(5)))},
    {0, S(IAT, "\"jti\":\"5\",\"x\":1,", RUN(EV(5)))},
    {0, S(IAT, "\"jti\":\"5\",", RUN(EV(5)) ",\"x\":1")},
    {0, S(IAT, "\"jti\":\"5\",", RUN(""))},
    {0, S(IAT, "\"jti\":\"5\",", RUN(EV(5) "," EV(5)))},
    {0, S(IAT, "\"jti\":\"7\",", RUN(EV(5) "," EV(7)))},
    {0, S(IAT, "\"jti\":\"5\",", RUN(EV(6) "," EV(5)))},
    {0, S(IAT, "\"jti\":\"4\",", RUN(EV(4)))},
    {0, S(IAT, "\"jti\":\"3\",", RUN(EV(3)))},
    {0, S(IAT, "\"jti\":\"10\",", RUN(EV(10)))},
    {0, S(IAT, "\"jti\":\"0\",", RUN(EV(0)))},
    {0, S(IAT, "\"jti\":\"5\",", RUN("{}"))},
    {0, S(IAT, "\"jti\":\"5\",", RUN("5"))},
    {0, S(IAT, "\"jti\":\"5\",", RUN("null"))},
    {0, S(IAT, "\"jti\":\"5\",", "\"after\":4,\"head\":9")},
    {0, S(IAT, "\"jti\":\"5\",", "\"head\":9,\"run\":[" EV(5) "]")},
    {0, S(IAT, "\"jti\":\"5\",", "\"after\":4,\"run\":[" EV(5) "]")},
    {0, S(IAT, "\"jti\":\"5\",", "\"after\":-1,\"head\":9,\"run\":["
	EV(5) "]")},
    {0, S(IAT, "\"jti\":\"5\",", "\"after\":4,\"head\":9007199254740992,"
	"\"run\":[" EV(5) "]")},
    {0, S(IAT, "\"jti\":\"5\",", "\"after\":4,\"head\":4,\"run\":["
	EV(5) "]")},
    {0, "{" I IAT "\"jti\":\"5\",\"events\":{}}"},
    {0, "{" I IAT "\"jti\":\"5\",\"events\":[]}"},
    {0, "{" I IAT "\"jti\":\"5\",\"events\":{\"urn:other\":{}}}"},
    {0, "{" IAT "\"jti\":\"5\",\"events\":{\"urn:fealty:event:"
	"revocations\":{" RUN(EV(5)) "}}}"},
    {1, "{}"}, {1, "{" I "\"head\":5,\"floor\":0}"},
    {1, "{" I "\"head\":5,\"time\":1}"},
    {1, "{" I "\"floor\":0,\"time\":1}"},
    {1, "{\"head\":5,\"floor\":0,\"time\":1}"},
    {1, "{" I "\"head\":5,\"floor\":6,\"time\":1}"},
    {1, "{" I "\"head\":-5,\"floor\":0,\"time\":1}"},
    {1, "{" I "\"head\":5,\"floor\":0,\"time\":-1}"},
    {1, "{" I "\"head\":5,\"floor\":0,\"time\":1,\"x\":1}"},
    {1, "{" I "\"head\":5,\"head\":5,\"floor\":0,\"time\":1}"},
    {1, "{" I "\"head\":9007199254740992,\"floor\":0,\"time\":1}"},
    {1, "{" I "\"head\":\"5\",\"floor\":0,\"time\":1}"},
    {2, "{}"},
    {2, P("\"head\":9,\"floor\":1,\"part\":0,\"parts\":1,")},
    {2, P("\"head\":9,\"floor\":1,\"part\":2,\"parts\":1,")},
    {2, P("\"head\":9,\"floor\":10,\"part\":1,\"parts\":1,")},
    {2, P("\"head\":4,\"floor\":1,\"part\":1,\"parts\":1,")},
    {2, P("\"head\":9,\"part\":1,\"parts\":1,")},
    {2, P("\"head\":9,\"floor\":1,\"parts\":1,")},
    {2, P("\"head\":9,\"floor\":1,\"part\":1,\"parts\":4294967296,")},
    {2, "{" I IAT "\"head\":9,\"floor\":1,\"part\":1,\"parts\":1}"},
    {2, "{" I IAT "\"head\":9,\"floor\":1,\"part\":1,\"parts\":1,"
	"\"run\":[" EV(6) "," EV(5) "]}"},
    {3, "{}"}, {3, "{" I IAT "\"version\":1}"},
    {3, "{" I IAT "\"version\":0,\"feed\":{\"keys\":[]},"
	"\"token\":{\"keys\":[]}}"},
    {3, "{" I IAT "\"version\":1,\"feed\":[],\"token\":{\"keys\":[]}}"},
    {3, "{" I IAT "\"version\":1,\"feed\":{\"keys\":[]}}"},
    {3, "{" I IAT "\"version\":1,\"feed\":{\"keys\":[1]},"
	"\"token\":{\"keys\":[]}}"},
    {3, "{" I "\"version\":1,\"feed\":{\"keys\":[]},"
	"\"token\":{\"keys\":[]}}"},
};

static void
malformed_claims_are_refused_even_when_signed(void **state)
{
	char header[512];
	size_t i;

	assert_true(COUNT(malformed) >= 60);
	for (i = 0; i < COUNT(malformed); i++) {
		(void)snprintf(header, sizeof(header), "{\"alg\":\"ES256\","
		    "\"typ\":\"%s\"," K "}", typs[malformed[i].kind],
		    signer_kid(signer));
		make_jws(header, malformed[i].claims, 0, &out);
		assert_case(readers[malformed[i].kind](out.p, out.len) ==
		    ERR_TOKEN, malformed[i].claims);
	}
	/* The same forms, right. */
	(void)snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"typ\":"
	    "\"" TYP_SET "\"," K "}", signer_kid(signer));
	make_jws(header, S(IAT, "\"jti\":\"5\",", RUN(EV(5))), 0, &out);
	assert_int_equal(read_set(out.p, out.len), ERR_OK);
}

static void
what_no_reader_would_take_is_not_signed(void **state)
{
	struct event ev[2] = {event_at(BASE + 1), event_at(BASE + 3)};
	const struct heartbeat beats[] = {{5, 6, 1}, {5, 0, -1},
	    {NUMBER_MAX + 1, 0, 1}};
	struct set_run run = {BASE, BASE + 9, ev, 2};
	size_t i;

	buf_reset(&out);
	assert_int_equal(set_sign(signer, ISS, NOW, &run, &out), ERR_REQUEST);
	run.n = 1;
	run.after = BASE + 1;
	assert_int_equal(set_sign(signer, ISS, NOW, &run, &out), ERR_REQUEST);
	run.after = BASE;
	(void)snprintf(ev[0].id, sizeof(ev[0].id), "a\"b");
	assert_int_equal(set_sign(signer, ISS, NOW, &run, &out), ERR_REQUEST);
	for (i = 0; i < COUNT(beats); i++)
		assert_int_equal(heartbeat_sign(signer, ISS, &beats[i],
		    &out), ERR_REQUEST);
	assert_int_equal(out.len, 0);
}

/* ---- vectors ---- */

static const char *
text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	assert_non_null(s);
	return s;
}

static struct verifier *
root_of(const json_t *o)
{
	struct es256_public pub;
	struct verifier *v = NULL;

	assert_int_equal(jwk_point(json_object_get(o, "root"), &pub), ERR_OK);
	assert_int_equal(verifier_new(&pub, &v), ERR_OK);
	return v;
}

static void
messages_signed_by_openssl_are_read(void **state)
{
	json_t *o = json_load_file(FEALTY_VECTORS "/feed.json", 0, NULL);
	char *set = json_dumps(json_object_get(o, "feed"), 0);
	const char *iss = text_of(o, "iss"), *s;
	struct jwks *feed = NULL;
	struct verifier *v = root_of(o);
	struct set_run run = {0};
	struct heartbeat beat = {0};
	struct snapshot_part part = {0};
	struct keyset ks = {0};

	assert_int_equal(jwks_parse(set, strlen(set), &feed), ERR_OK);
	s = text_of(o, "set");
	assert_int_equal(set_verify(feed, iss, s, strlen(s), &run, NULL),
	    ERR_OK);
	assert_true(run.after == BASE + 4 && run.head == BASE + 9);
	assert_int_equal(run.n, 4);
	assert_true(run.events[2].ep_max == 2 &&
	    run.events[1].exp == 1800000600);
	assert_string_equal(run.events[3].id, text_of(o, "token_kid"));
	s = text_of(o, "heartbeat");
	assert_int_equal(heartbeat_verify(feed, iss, s, strlen(s), &beat,
	    NULL), ERR_OK);
	assert_true(beat.head == BASE + 9 && beat.floor == BASE + 2 &&
	    beat.time_ms == 1800000000123);
	s = text_of(o, "snapshot");
	assert_int_equal(snapshot_verify(feed, iss, s, strlen(s), &part,
	    NULL), ERR_OK);
	assert_true(part.part == 2 && part.parts == 3 && part.n == 2);
	s = text_of(o, "keys");
	assert_int_equal(keyset_verify(v, iss, s, strlen(s), &ks, NULL),
	    ERR_OK);
	assert_true(ks.version == 7);
	assert_non_null(jwks_find(ks.token, text_of(o, "token_kid"),
	    KID_LEN));
	set_run_free(&run);
	snapshot_part_free(&part);
	keyset_free(&ks);
	jwks_free(&feed);
	verifier_free(&v);
	free(set);
	json_decref(o);
}

static int
setup(void **state)
{
	struct es256_public pub;

	if (jose_setup(state) != 0)
		return -1;
	signer_public(signer, &pub);
	return verifier_new(&pub, &root) == ERR_OK ? 0 : -1;
}

static int
teardown(void **state)
{
	verifier_free(&root);
	buf_free(&out);
	return jose_teardown(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_signed_comes_back),
	    cmocka_unit_test(a_run_of_the_greatest_length_fits),
	    cmocka_unit_test(another_kind_is_refused),
	    cmocka_unit_test(a_key_that_may_not_sign_it_is_refused),
	    cmocka_unit_test(an_octet_changed_anywhere_is_noticed),
	    cmocka_unit_test(a_header_of_another_form_is_refused),
	    cmocka_unit_test(malformed_claims_are_refused_even_when_signed),
	    cmocka_unit_test(what_no_reader_would_take_is_not_signed),
	    cmocka_unit_test(messages_signed_by_openssl_are_read),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
