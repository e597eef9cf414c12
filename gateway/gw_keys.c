#include <stdlib.h>
#include <string.h>
#include "gateway/gw_int.h"

/*
 * The key set: which keys sign tokens, which the feed. It is signed by the
 * root key that the enrolment pins, and its version only grows, so that no
 * retired key comes back with an old set.
 */
#define KEYSET_MAX 65536

/* *k's keys in place of those that were; what goes is left in *k. */
static void
exchange(struct fealty_gateway *g, struct keyset *k)
{
	struct jwks *feed = g->feed_keys, *token = g->jwks;

	g->feed_keys = k->feed;
	g->jwks = k->token;
	g->keys_version = k->version;
	/* a key that is gone takes what it signed along */
	token_cache_clear(g->tokens);
	k->feed = feed;
	k->token = token;
}

enum err
keyset_adopt(struct fealty_gateway *g, const char *text, size_t len)
{
	struct buf copy = {.max = KEYSET_MAX}, old;
	struct keyset k = {.feed = NULL};
	struct detail d = {""};
	bool grown = false;
	enum err e;

	e = keyset_verify(g->root, g->issuer, text, len, &k, &d);
	if (e == ERR_OK)
		e = buf_add(&copy, text, len);
	if (e != ERR_OK) {
		keyset_free(&k);
		gw_note(g, FEALTY_ERROR, "key set refused", e, d.text);
		return (e);
	}
	pthread_rwlock_wrlock(&g->keys_lock);
	if (k.version < g->keys_version)
		e = ERR_BACKWARDS;
	else if (k.version > g->keys_version) {
		exchange(g, &k);
		old = g->keys_text;
		g->keys_text = copy;
		copy = old;
		grown = true;
	}
	pthread_rwlock_unlock(&g->keys_lock);
	if (e != ERR_OK)
		gw_note(g, FEALTY_ERROR, "key set refused", e,
		    "it is older than the one that is known");
	if (grown)
		gw_note(g, FEALTY_INFO, "key set adopted", ERR_OK, NULL);
	keyset_free(&k);
	buf_free(&copy);
	return (e);
}

/* {"keys":KEYSET} */
static enum err
decode(const struct buf *answer, char *text, size_t size)
{
	struct detail d = {""};
	struct jin in;

	jin_open(&in, answer->p, answer->len, &d);
	jin_str(&in, "keys", text, size);
	return (jin_done(&in));
}

enum err
keyset_fetch(struct fealty_gateway *g, struct link *l)
{
	struct buf answer = {.max = KEYSET_MAX + 64};
	struct problem why = {.err = ERR_OK};
	char *text;
	enum err e;

	if ((text = malloc(KEYSET_MAX)) == NULL)
		return (ERR_NOMEM);
	e = link_call(l, "GET", "/.well-known/fealty-keys", NULL, &answer,
	    &why);
	if (e == ERR_OK)
		e = decode(&answer, text, KEYSET_MAX);
	if (e == ERR_OK)
		e = keyset_adopt(g, text, strlen(text));
	free(text);
	buf_free(&answer);
	return (e);
}
