#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include "gateway/gw_int.h"

/* What is known of one connection, bound to its SSL; the look-up. */
static int index_ssl = -1, index_ctx = -1;
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static void
conn_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl,
    void *argp)
{
	struct fealty_gateway *g;
	struct conn *c = ptr;

	if (c == NULL)
		return;
	g = c->g;
	fetch_leave(c);
	if (c->key_fd >= 0)
		close(c->key_fd);
	wipe(c, sizeof(*c));
	free(c);
	gateway_unref(g);
}

static void
context_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl,
    void *argp)
{
	if (ptr != NULL)
		gateway_unref(ptr);
}

/* A copy of an SSL is nobody's connection. */
static int
conn_dup(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **data, int idx,
    long argl, void *argp)
{
	*data = NULL;
	return (1);
}

static void
make_indexes(void)
{
	index_ssl = SSL_get_ex_new_index(0, NULL, NULL, conn_dup, conn_free);
	index_ctx = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL,
	    context_free);
}

enum err
conn_init_once(void)
{
	pthread_once(&index_once, make_indexes);
	return (index_ssl >= 0 && index_ctx >= 0 ? ERR_OK : ERR_CRYPTO);
}

int
conn_bind_context(SSL_CTX *ctx, struct fealty_gateway *g)
{
	if (SSL_CTX_get_ex_data(ctx, index_ctx) != NULL)
		return (SSL_CTX_get_ex_data(ctx, index_ctx) == g);
	if (!SSL_CTX_set_ex_data(ctx, index_ctx, g))
		return (0);
	gateway_ref(g);
	return (1);
}

struct conn *
conn_peek(const SSL *ssl)
{
	return (index_ssl < 0 ? NULL : SSL_get_ex_data(ssl, index_ssl));
}

/* The peer's address; of IPv6 the /64, which is one source. */
static void
find_source(int fd, char out[GW_SOURCE])
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct sockaddr_in *v4 = (void *)&ss;
	struct sockaddr_in6 *v6 = (void *)&ss;

	out[0] = '\0';
	if (fd < 0 || getpeername(fd, (struct sockaddr *)&ss, &len) != 0)
		return;
	if (ss.ss_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, out, GW_SOURCE);
	if (ss.ss_family != AF_INET6)
		return;
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], out,
		    GW_SOURCE);
		return;
	}
	memset(&v6->sin6_addr.s6_addr[8], 0, 8);
	inet_ntop(AF_INET6, &v6->sin6_addr, out, GW_SOURCE);
}

struct conn *
conn_get(struct fealty_gateway *g, SSL *ssl)
{
	struct conn *c = conn_peek(ssl);

	if (c != NULL)
		return (c);
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return (NULL);
	c->g = g;
	c->ssl = ssl;
	c->key_fd = -1;
	find_source(SSL_get_fd(ssl), c->source);
	if (!SSL_set_ex_data(ssl, index_ssl, c)) {
		free(c);
		return (NULL);
	}
	gateway_ref(g);
	return (c);
}

int
conn_key_fd(struct conn *c)
{
	if (c->key_fd < 0)
		c->key_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return (c->key_fd >= 0);
}

void
conn_wake(struct conn *c)
{
	uint64_t one = 1;

	/* a full counter is readable already */
	if (c->key_fd >= 0 && write(c->key_fd, &one, sizeof(one)) < 0 &&
	    errno != EAGAIN)
		return;
}

/* A key in hand is judged again: nothing outvotes the set. */
static enum err
judge_key(struct conn *c)
{
	const struct psk_answer *a = &c->psk.answer;
	struct claim cl = {
		.dn = a->dn,
		.epoch = a->epoch,
		.groups = a->groups,
		.ngroups = a->ngroups,
		.pos = a->pos,
	};

	return (gw_judge(c->g, &cl, &c->event));
}

/* What can be said without the authority. ERR_WOULD_BLOCK: go and ask. */
static enum err
from_memory(struct conn *c, const char *identity, size_t len)
{
	struct fealty_gateway *g = c->g;
	struct revset *set = atomic_load(&g->set);
	struct claim cl = {0};
	enum err e;

	if (set == NULL)
		return (ERR_NOT_READY);
	e = gw_ident_open(g->ident, identity, len, &c->id);
	if (e == ERR_NOT_FOUND) {
		/* a new identity key, perhaps; strangers wake nobody */
		feed_want_identity_keys(g);
		e = ERR_IDENTITY;
	}
	if (e != ERR_OK)
		return (e);
	memcpy(c->identity, identity, len);
	c->identity[len] = '\0';
	c->identity_len = len;
	if ((e = gw_fresh(g)) != ERR_OK)
		return (e);
	cl.dn = c->id.dn;
	cl.epoch = c->id.epoch;
	cl.pos = revset_position(set);
	if ((e = gw_judge(g, &cl, &c->event)) != ERR_OK)
		return (e);
	if (!gw_cache_get(g->cache, c->id.dn, c->identity, c->tls, gw_now(g),
	    &c->psk))
		return (ERR_WOULD_BLOCK);
	if (c->psk.err != ERR_OK)
		return (c->psk.err);
	e = judge_key(c);
	/* a key too old, of a device that may well be good */
	return (e == ERR_TOKEN_CUT || e == ERR_TOKEN_FLOOR ? ERR_WOULD_BLOCK
	    : e);
}

static void
look_up_over(struct conn *c, enum err e)
{
	if (e == ERR_OK)
		e = judge_key(c);
	c->asked = true;
	c->known = e == ERR_OK;
	c->why = e;
	if (e != ERR_OK)
		key32_wipe(&c->psk.answer.key);
}

static enum err
join(struct conn *c)
{
	if (c->stepping && !conn_key_fd(c))
		return (ERR_BUSY);
	return (fetch_join(c->g, c));
}

int
conn_look_up(struct conn *c, const char *identity, size_t len)
{
	enum err e;

	if (c->asked)
		return (1);
	if (c->fetch != NULL) {
		if (!fetch_result(c, &c->psk))
			return (0);
		look_up_over(c, c->psk.err);
		return (1);
	}
	e = from_memory(c, identity, len);
	if (e == ERR_WOULD_BLOCK && c->worker != NULL) {
		fetch_now(c->worker, &c->id, c->identity, c->tls, &c->psk);
		e = c->psk.err;
	} else if (e == ERR_WOULD_BLOCK && (e = join(c)) == ERR_OK)
		return (0);
	look_up_over(c, e);
	return (1);
}

/* Whether the connection rests on our key and nothing else. */
bool
conn_rests_on_key(const struct conn *c)
{
	const SSL_CIPHER *suite = SSL_get_current_cipher(c->ssl);

	if (!c->known || suite == NULL)
		return (false);
	if (c->tls == 13)
		return (SSL_version(c->ssl) == TLS1_3_VERSION &&
		    SSL_session_reused(c->ssl));
	return (SSL_version(c->ssl) == TLS1_2_VERSION &&
	    SSL_CIPHER_get_auth_nid(suite) == NID_auth_psk &&
	    SSL_get_extms_support(c->ssl) == 1);
}

/* TLS 1.3 keeps the PSK as the session's master key, and has no use for it. */
static void
forget_key(struct conn *c)
{
	static const unsigned char none[32];
	SSL_SESSION *s = c->tls == 13 ? SSL_get_session(c->ssl) : NULL;

	if (c->spent)
		return;
	if (s != NULL)
		SSL_SESSION_set1_master_key(s, none, sizeof(none));
	key32_wipe(&c->psk.answer.key);
	c->spent = true;
}

int
fealty_tls_peer(const SSL *ssl, struct fealty_device *peer)
{
	struct conn *c = conn_peek(ssl);
	const struct psk_answer *a;

	if (c == NULL || !SSL_is_init_finished(ssl) || !conn_rests_on_key(c))
		return (-1);
	/* it has done its work, also for a host that calls nothing else */
	forget_key(c);
	a = &c->psk.answer;
	memset(peer, 0, sizeof(*peer));
	memcpy(peer->device_id, a->device_id, sizeof(peer->device_id));
	peer->device_number = a->dn;
	peer->epoch = a->epoch;
	peer->ngroups = a->ngroups;
	for (uint32_t i = 0; i < a->ngroups && i < FEALTY_GROUPS; i++)
		peer->groups[i] = a->groups[i];
	peer->position = a->pos;
	peer->tls = c->tls;
	return (0);
}
