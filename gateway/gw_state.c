#include <stdlib.h>
#include <string.h>
#include "gateway/gw_held.h"
#include "lib/base/file.h"
#include "lib/crypt/digest.h"
#include "lib/crypt/seal.h"

/*
 * What outlives a restart, in one file: docs/gateway-state.md. Sealed in
 * pieces under a key made for this very file, so that no piece of another
 * one fits, and written whole or not at all. Whoever brings back an older
 * file whole gains an older heartbeat with it: by max_stale it is refused.
 */
#define MAGIC "FEALTYG2"
#define SALT 16
#define PIECE SEAL_PLAIN_MAX
#define STATE_MAX ((size_t)64 << 20)
#define SAVE_MS 5000
#define SAVE_BEAT_MS 10000 /* nothing new but the time */

struct state {
	char *path;
	struct key32 key;
	pthread_mutex_t lock; /* one at a time */
	int64_t saved_at; /* tick ms; 0: never. The chores' and follower's */
	uint64_t saved_pos, saved_version;
	int64_t spent_ms;
};

/* What is before all else. */
struct fields {
	int64_t beat_ms; /* the authority's clock when it was last heard */
	int64_t wall_ms; /* ours when this was written */
	uint32_t keys_len, beat_len;
	uint64_t set_len; /* of the revocation set; then what is held */
	char issuer[ISSUER_MAX + 1];
	name_t audience;
};

static enum err
derive(const struct secret *credential, struct key32 *out)
{
	static const char salt[] = "fealty gateway state";
	static const unsigned char info[] = "state file\001";
	struct key32 prk;
	enum err e;

	/* HKDF (RFC 5869), one block */
	e = hmac_sha256(salt, sizeof(salt) - 1, credential->p,
	    credential->len, prk.b);
	if (e == ERR_OK)
		e = hmac_sha256(prk.b, sizeof(prk.b), info, sizeof(info) - 1,
		    out->b);
	key32_wipe(&prk);
	return (e);
}

static enum err
read_key(const char *path, struct key32 *out)
{
	struct secret file = {0};
	enum err e;

	e = file_read_secret(path, KEY32_LEN, &file);
	if (e == ERR_OK && file.len != KEY32_LEN)
		e = ERR_CONFIG;
	if (e == ERR_OK)
		memcpy(out->b, file.p, KEY32_LEN);
	secret_free(&file);
	return (e);
}

enum err
state_new(const char *path, const char *key_file,
    const struct secret *credential, struct state **out)
{
	struct state *s;
	enum err e;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return (ERR_NOMEM);
	pthread_mutex_init(&s->lock, NULL);
	s->path = strdup(path);
	e = s->path == NULL ? ERR_NOMEM : key_file != NULL ?
	    read_key(key_file, &s->key) : derive(credential, &s->key);
	if (e == ERR_OK)
		*out = s;
	else
		state_free(&s);
	return (e);
}

void
state_free(struct state **s)
{
	if (*s == NULL)
		return;
	key32_wipe(&(*s)->key);
	pthread_mutex_destroy(&(*s)->lock);
	free((*s)->path);
	free(*s);
	*s = NULL;
}

static enum err
file_key(const struct state *s, const unsigned char *salt, struct key32 *out)
{
	return (hmac_sha256(s->key.b, sizeof(s->key.b), salt, SALT, out->b));
}

/* ---- writing ---- */

static enum err
gather(struct fealty_gateway *g, struct buf *out)
{
	struct follow *f = g->follow;
	struct fields h;
	int64_t heard = atomic_load(&g->heard);
	enum err e;

	memset(&h, 0, sizeof(h));
	/* one that is not heard now is not heard after a restart either */
	h.beat_ms = heard >= 0 ? atomic_load(&g->beat_ms) : 0;
	h.wall_ms = clock_wall_ms(g->clock);
	memcpy(h.issuer, g->issuer, sizeof(h.issuer));
	memcpy(h.audience, g->audience, sizeof(h.audience));
	pthread_mutex_lock(&f->beat_lock);
	h.beat_len = (uint32_t)strlen(f->beat_text);
	pthread_rwlock_rdlock(&g->keys_lock);
	h.keys_len = (uint32_t)g->keys_text.len;
	e = buf_add(out, &h, sizeof(h));
	if (e == ERR_OK)
		e = buf_add(out, g->keys_text.p, g->keys_text.len);
	g->state->saved_version = g->keys_version;
	pthread_rwlock_unlock(&g->keys_lock);
	if (e == ERR_OK)
		e = buf_add(out, f->beat_text, h.beat_len);
	pthread_mutex_unlock(&f->beat_lock);
	g->state->saved_pos = atomic_load(&g->enforced);
	h.set_len = out->len;
	if (e == ERR_OK)
		e = revset_save(atomic_load(&g->set), out);
	if (e != ERR_OK)
		return (e);
	h.set_len = out->len - h.set_len;
	memcpy(out->p, &h, sizeof(h));
	/* behind the set: what it has, is held */
	return (held_save(g->held, out));
}

static enum err
seal_all(struct state *s, const struct buf *plain, struct buf *out)
{
	unsigned char salt[SALT], piece[PIECE + SEAL_OVERHEAD];
	struct seal_row row = {.table = "gateway-state"};
	struct key32 key;
	size_t at = 0, n, len;
	enum err e;

	if ((e = random_bytes(salt, sizeof(salt))) == ERR_OK)
		e = file_key(s, salt, &key);
	if (e == ERR_OK)
		e = buf_str(out, MAGIC);
	if (e == ERR_OK)
		e = buf_add(out, salt, sizeof(salt));
	/* the last piece is marked: nothing can be cut off */
	while (e == ERR_OK && row.epoch == 0) {
		n = plain->len - at < PIECE ? plain->len - at : PIECE;
		row.epoch = at + n == plain->len;
		e = seal(&key, &row, plain->p + at, n, piece, sizeof(piece),
		    &len);
		if (e == ERR_OK)
			e = buf_add(out, piece, len);
		at += n;
		row.row++;
	}
	key32_wipe(&key);
	return (e);
}

bool
state_due(struct fealty_gateway *g)
{
	struct state *s = g->state;
	int64_t since, least;
	uint64_t pos;

	if (s == NULL || atomic_load(&g->enforced) == 0)
		return (false);
	since = gw_tick() - s->saved_at;
	pos = atomic_load(&g->enforced);
	/* a large set is not written all the time */
	least = pos != s->saved_pos ? SAVE_MS : SAVE_BEAT_MS;
	if (least < s->spent_ms * 50)
		least = s->spent_ms * 50;
	return (s->saved_at == 0 || since >= least);
}

void
state_save(struct fealty_gateway *g)
{
	struct buf plain = {.max = STATE_MAX};
	struct buf sealed = {.max = STATE_MAX + STATE_MAX / 8};
	int64_t started = gw_tick();
	enum err e;

	pthread_mutex_lock(&g->state->lock);
	e = gather(g, &plain);
	if (e == ERR_OK)
		e = seal_all(g->state, &plain, &sealed);
	if (e == ERR_OK)
		e = file_write_atomic(g->state->path, 0600, sealed.p,
		    sealed.len);
	if (e != ERR_OK)
		gw_note(g, FEALTY_WARNING, "state not saved", e, NULL);
	g->state->saved_at = gw_tick();
	g->state->spent_ms = g->state->saved_at - started;
	pthread_mutex_unlock(&g->state->lock);
	buf_free(&plain);
	buf_free(&sealed);
}

/* ---- reading ---- */

static enum err
unseal_all(struct state *s, const struct buf *in, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)in->p;
	struct seal_row row = {.table = "gateway-state"};
	size_t at = sizeof(MAGIC) - 1 + SALT, n;
	struct secret piece = {0};
	struct key32 key;
	enum err e;

	if (in->len < at || memcmp(p, MAGIC, sizeof(MAGIC) - 1) != 0)
		return (ERR_CRYPTO);
	e = file_key(s, p + sizeof(MAGIC) - 1, &key);
	while (e == ERR_OK && row.epoch == 0) {
		n = in->len - at;
		row.epoch = n <= PIECE + SEAL_OVERHEAD;
		if (row.epoch == 0)
			n = PIECE + SEAL_OVERHEAD;
		e = unseal(&key, &row, p + at, n, &piece);
		if (e == ERR_OK)
			e = buf_add(out, piece.p, piece.len);
		at += n;
		row.row++;
	}
	secret_free(&piece);
	key32_wipe(&key);
	return (e);
}

/*
 * The wall clock alone says how long we were off. If it was turned back
 * meanwhile it says nothing, and what was fresh then is not.
 */
static void
restore_time(struct fealty_gateway *g, const struct fields *h)
{
	int64_t wall = clock_wall_ms(g->clock), age = wall - h->beat_ms;

	if (h->beat_ms <= 0 || wall < h->wall_ms || age < 0)
		return;
	atomic_store(&g->beat_ms, h->beat_ms);
	/* before the monotonic clock began is as good as never */
	if (gw_now(g) >= age)
		atomic_store(&g->heard, gw_now(g) - age);
}

static enum err
restore(struct fealty_gateway *g, const struct buf *plain)
{
	struct revset *set = NULL;
	struct follow *f = g->follow;
	const char *p = plain->p, *beat;
	size_t left = plain->len;
	struct fields h;
	uint32_t tenant;
	enum err e;

	if (left < sizeof(h))
		return (ERR_REQUEST);
	memcpy(&h, p, sizeof(h));
	p += sizeof(h);
	left -= sizeof(h);
	/* of another gateway: not an error, but of no use */
	if (strcmp(h.issuer, g->issuer) != 0 ||
	    strcmp(h.audience, g->audience) != 0)
		return (ERR_NOT_FOUND);
	if (h.keys_len > left || h.beat_len > left - h.keys_len ||
	    h.beat_len >= sizeof(f->beat_text))
		return (ERR_REQUEST);
	if ((e = keyset_adopt(g, p, h.keys_len)) != ERR_OK)
		return (e);
	p += h.keys_len;
	left -= h.keys_len;
	beat = p;
	p += h.beat_len;
	left -= h.beat_len;
	if (h.set_len > left)
		return (ERR_REQUEST);
	e = revset_load(p, h.set_len, &tenant, &set);
	if (e != ERR_OK)
		return (e);
	if ((e = held_load(g->held, p + h.set_len, left - h.set_len)) !=
	    ERR_OK) {
		revset_free(&set);
		return (e);
	}
	memcpy(f->beat_text, beat, h.beat_len);
	atomic_store(&g->tenant, tenant);
	atomic_store(&g->set, set);
	f->base = revset_position(set);
	f->snapshot = false;
	restore_time(g, &h);
	gw_publish(g, gw_tick_us());
	return (ERR_OK);
}

void
state_load(struct fealty_gateway *g)
{
	struct buf sealed = {.max = STATE_MAX + STATE_MAX / 8};
	struct buf plain = {.max = STATE_MAX};
	enum err e;

	e = file_read(g->state->path, sealed.max, &sealed);
	if (e == ERR_OK)
		e = unseal_all(g->state, &sealed, &plain);
	if (e == ERR_OK)
		e = restore(g, &plain);
	if (e == ERR_OK)
		gw_note(g, FEALTY_INFO, "state restored", e, NULL);
	else if (e != ERR_NOT_FOUND)
		gw_note(g, FEALTY_WARNING, "state not restored", e, NULL);
	buf_free(&plain);
	buf_free(&sealed);
}
