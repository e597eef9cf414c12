/*
 * The cache of verified tokens: held against a model that remembers
 * everything, its bounds, and many threads at once.
 */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/revoke/token_cache.h"

static uint64_t
rnd(uint64_t *rng, uint64_t n)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return *rng % n;
}

static size_t
fake_token(char *out, size_t size, unsigned i)
{
	int n = snprintf(out, size, "header.payload%u.%06xsignature%06xA", i,
	    i * 2654435761u & 0xffffff, i * 40503u & 0xffffff);

	return (size_t)n;
}

static void
only_what_is_equal_is_given_back(void **state)
{
	struct token_cache *c = NULL;
	char tok[128], other[128];
	uint64_t v = 42, out = 0;
	size_t n, i;

	(void)state;
	assert_int_equal(token_cache_new(1000, sizeof(v), &c), ERR_OK);
	n = fake_token(tok, sizeof(tok), 1);
	assert_int_equal(token_cache_get(c, tok, n, &out), 0);
	token_cache_put(c, tok, n, &v);
	assert_int_equal(token_cache_get(c, tok, n, &out), 1);
	assert_int_equal(out, 42);
	for (i = 0; i < n; i++) {
		memcpy(other, tok, n);
		other[i] ^= 1;
		assert_int_equal(token_cache_get(c, other, n, &out), 0);
	}
	for (i = 0; i < n; i++)
		assert_int_equal(token_cache_get(c, tok, i, &out), 0);
	token_cache_clear(c);
	assert_int_equal(token_cache_get(c, tok, n, &out), 0);
	token_cache_free(&c);
	assert_int_equal(token_cache_new(8, 0, &c), ERR_REQUEST);
	assert_null(c);
}

/*
 * The index is the signature's: a stranger may put another's signature behind
 * claims of his own. Index and tag are then the same, the answer is not.
 */
static void
a_borrowed_signature_finds_nothing(void **state)
{
	static const char sig[] = ".SIGNATUREsignatureSIGNATURE";
	struct token_cache *c = NULL;
	char tok[20][600], forged[600];
	uint64_t v, out;
	size_t n = 0;

	(void)state;
	assert_int_equal(token_cache_new(1000, sizeof(v), &c), ERR_OK);
	/* more than a set holds, all of one index; the first half shared */
	for (unsigned i = 0; i < 20; i++) {
		memset(tok[i], 'a', 500);
		for (size_t at = 250; at < 500; at++)
			tok[i][at] = (char)('b' + (i * at) % 7);
		(void)snprintf(tok[i] + 500, 100, "%05u%s", i, sig);
		n = strlen(tok[i]);
		v = i;
		token_cache_put(c, tok[i], n, &v);
		assert_int_equal(token_cache_get(c, tok[i], n, &out), 1);
		assert_int_equal(out, i);
		for (size_t at = 0; at < n - sizeof(sig); at++) {
			memcpy(forged, tok[i], n);
			forged[at] = 'Z';
			assert_int_equal(token_cache_get(c, forged, n, &out),
			    0);
		}
	}
	for (unsigned i = 0; i < 13; i++)
		assert_int_equal(token_cache_get(c, tok[i], n, &out), 0);
	for (unsigned i = 13; i < 20; i++) {
		assert_int_equal(token_cache_get(c, tok[i], n, &out), 1);
		assert_int_equal(out, i);
	}
	token_cache_free(&c);
}

#define MODEL 400
#define VALUE 300

/* What was put last, by the token's number. */
struct model {
	struct entry {
		char token[1500];
		unsigned char value[VALUE];
		size_t len, used;
		int put; /* since the last clear */
	} e[MODEL];
	uint64_t hits, gets;
};

static void
model_fill(struct model *m, uint64_t *rng)
{
	struct entry *e;

	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < MODEL; i++) {
		e = &m->e[i];
		/* some too long, some with the start of others */
		e->len = 30 + (size_t)rnd(rng, i % 8 == 0 ? 1400 : 500);
		for (size_t k = 0; k < e->len; k++)
			e->token[k] = (char)('A' + (k < 20 * (i % 13) &&
			    k + 20 < e->len ? k % 26 : rnd(rng, 26)));
	}
}

static void
model_put(struct model *m, struct token_cache *c, struct entry *e,
    uint64_t *rng)
{
	e->used = 1 + (size_t)rnd(rng, VALUE);
	for (size_t k = 0; k < e->used; k++)
		e->value[k] = (unsigned char)rnd(rng, 256);
	token_cache_put_part(c, e->token, e->len, e->value, e->used, 7);
	e->put = 1;
	(void)m;
}

static void
model_get(struct model *m, struct token_cache *c, struct entry *e)
{
	unsigned char out[VALUE + 1];
	uint32_t hint;

	token_cache_expect(c, e->token, e->len);
	hint = token_cache_fetch(c, e->token, e->len);
	assert_true(hint == 0 || hint == 7);
	memset(out, 0xa5, sizeof(out));
	m->gets++;
	if (!token_cache_get(c, e->token, e->len, out)) {
		assert_int_equal(out[0], 0xa5);
		return;
	}
	m->hits++;
	assert_int_equal(hint, 7);
	assert_true(e->put);
	assert_in_range(e->len, 1, 1280);
	assert_memory_equal(out, e->value, e->used);
	assert_int_equal(out[e->used], 0xa5);
}

/* Rings that hold little and go round all the time, and one that is ample. */
static void
whatever_was_put_comes_back_as_it_was_or_not_at_all(void **state)
{
	static const size_t entries[] = {1, 8, 24, 130, 4000};
	struct model *m = malloc(sizeof(*m));
	uint64_t rng = 88172645463325252u;
	struct token_cache *c;
	struct entry *e;

	(void)state;
	assert_non_null(m);
	for (size_t n = 0; n < sizeof(entries) / sizeof(entries[0]); n++) {
		c = NULL;
		assert_int_equal(token_cache_new(entries[n], VALUE, &c),
		    ERR_OK);
		token_cache_large_pages(c);
		model_fill(m, &rng);
		for (unsigned step = 0; step < 40000; step++) {
			e = &m->e[rnd(&rng, MODEL)];
			if (rnd(&rng, 3) == 0)
				model_put(m, c, e, &rng);
			else
				model_get(m, c, e);
			if (rnd(&rng, 5000) != 0)
				continue;
			token_cache_clear(c);
			for (size_t i = 0; i < MODEL; i++)
				m->e[i].put = 0;
		}
		assert_true(m->hits > 0);
		/* a cache in which all fits forgets none but the too long */
		if (entries[n] == 4000)
			assert_true(m->hits > m->gets / 2);
		token_cache_free(&c);
	}
	free(m);
}

static void
a_flood_of_tokens_forgets_the_oldest_and_stays_bounded(void **state)
{
	struct token_cache *c = NULL;
	char tok[128];
	uint64_t v, out, hits = 0;
	unsigned i;
	size_t n;

	(void)state;
	assert_int_equal(token_cache_new(64, sizeof(v), &c), ERR_OK);
	for (i = 0; i < 10000; i++) {
		v = i;
		n = fake_token(tok, sizeof(tok), i);
		token_cache_put(c, tok, n, &v);
		out = 0;
		assert_int_equal(token_cache_get(c, tok, n, &out), 1);
		assert_int_equal(out, i);
	}
	for (i = 0; i < 10000; i++) {
		n = fake_token(tok, sizeof(tok), i);
		if (token_cache_get(c, tok, n, &out)) {
			assert_int_equal(out, i);
			hits++;
		}
	}
	assert_in_range(hits, 1, 64);
	token_cache_free(&c);
}

struct shared {
	struct token_cache *cache;
	_Atomic int bad, left;
};
struct big {
	uint64_t a[16];
};

static void *
user(void *arg)
{
	struct shared *sh = arg;
	struct big v, out;
	char tok[128];
	unsigned i, j;
	uint32_t hint;
	size_t n;

	for (i = 0; i < 20000; i++) {
		n = fake_token(tok, sizeof(tok), i % 50);
		for (j = 0; j < 16; j++)
			v.a[j] = i % 50;
		token_cache_expect(sh->cache, tok, n);
		hint = token_cache_fetch(sh->cache, tok, n);
		if (hint != 0 && hint != 9)
			atomic_store(&sh->bad, 1);
		token_cache_put_part(sh->cache, tok, n, &v, sizeof(v), 9);
		if (!token_cache_get(sh->cache, tok, n, &out))
			continue;
		for (j = 0; j < 16; j++)
			if (out.a[j] != i % 50)
				atomic_store(&sh->bad, 1);
	}
	atomic_fetch_sub(&sh->left, 1);
	return NULL;
}

static void
values_are_never_torn_between_threads(void **state)
{
	struct shared sh = {.left = 4};
	pthread_t t[4];
	int i;

	(void)state;
	assert_int_equal(token_cache_new(32, sizeof(struct big), &sh.cache),
	    ERR_OK);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, user, &sh), 0);
	while (atomic_load(&sh.left) > 0)
		token_cache_clear(sh.cache);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&sh.bad), 0);
	token_cache_free(&sh.cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_what_is_equal_is_given_back),
	    cmocka_unit_test(a_borrowed_signature_finds_nothing),
	    cmocka_unit_test(
		whatever_was_put_comes_back_as_it_was_or_not_at_all),
	    cmocka_unit_test(
		a_flood_of_tokens_forgets_the_oldest_and_stays_bounded),
	    cmocka_unit_test(values_are_never_torn_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
