#include <stdlib.h>
#include <string.h>
#include "gateway/gw_int.h"
#include "lib/crypt/digest.h"

/*
 * A token bucket per source address in a table of fixed size: sets of four,
 * chosen by a keyed hash so that nobody can aim at another's place; the
 * fullest bucket of a set (the one that matters least) makes room.
 */
#define RATE_SETS 4096
#define RATE_WAYS 4

struct bucket {
	char source[GW_SOURCE]; /* "": free */
	int64_t at;		/* of the last change, monotonic ms */
	double left;
};
struct gw_rate {
	pthread_mutex_t lock;
	double burst;
	double per_ms;
	struct key32 key;
	struct bucket b[RATE_SETS][RATE_WAYS];
};

enum err
gw_rate_new(uint32_t burst, uint32_t per_minute, struct gw_rate **out)
{
	struct gw_rate *r;
	enum err e;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return (ERR_NOMEM);
	if ((e = random_key32(&r->key)) != ERR_OK) {
		free(r);
		return (e);
	}
	pthread_mutex_init(&r->lock, NULL);
	r->burst = burst;
	r->per_ms = per_minute / 60000.0;
	*out = r;
	return (ERR_OK);
}

void
gw_rate_free(struct gw_rate **r)
{
	if (*r == NULL)
		return;
	pthread_mutex_destroy(&(*r)->lock);
	key32_wipe(&(*r)->key);
	free(*r);
	*r = NULL;
}

static void
refill(const struct gw_rate *r, struct bucket *b, int64_t now)
{
	if (now > b->at)
		b->left += (double)(now - b->at) * r->per_ms;
	if (b->left > r->burst)
		b->left = r->burst;
	b->at = now;
}

static struct bucket *
set_of(struct gw_rate *r, const char *source)
{
	unsigned char h[32];

	if (hmac_sha256(r->key.b, sizeof(r->key.b), source, strlen(source),
	    h) != ERR_OK)
		memset(h, 0, sizeof(h));
	return (r->b[((unsigned)h[0] << 8 | h[1]) % RATE_SETS]);
}

static struct bucket *
find(struct bucket *set, const char *source)
{
	for (int i = 0; i < RATE_WAYS; i++)
		if (strcmp(set[i].source, source) == 0)
			return (&set[i]);
	return (NULL);
}

int
gw_rate_over(struct gw_rate *r, const char *source, int64_t now)
{
	struct bucket *b;
	int over = 0;

	if (source[0] == '\0')
		return (0);
	pthread_mutex_lock(&r->lock);
	if ((b = find(set_of(r, source), source)) != NULL) {
		refill(r, b, now);
		over = b->left < 1;
	}
	pthread_mutex_unlock(&r->lock);
	return (over);
}

static struct bucket *
make(struct gw_rate *r, struct bucket *set, const char *source, int64_t now)
{
	struct bucket *b = &set[0];

	for (int i = 0; i < RATE_WAYS; i++) {
		if (set[i].source[0] == '\0') {
			b = &set[i];
			break;
		}
		refill(r, &set[i], now);
		if (set[i].left > b->left)
			b = &set[i];
	}
	memset(b, 0, sizeof(*b));
	memcpy(b->source, source, strnlen(source, GW_SOURCE - 1));
	b->left = r->burst;
	b->at = now;
	return (b);
}

int
gw_rate_take(struct gw_rate *r, const char *source, int64_t now)
{
	struct bucket *set, *b;
	int last = 0;

	if (source[0] == '\0')
		return (0);
	pthread_mutex_lock(&r->lock);
	set = set_of(r, source);
	if ((b = find(set, source)) == NULL)
		b = make(r, set, source, now);
	refill(r, b, now);
	if (b->left >= 1) {
		b->left -= 1;
		last = b->left < 1;
	}
	pthread_mutex_unlock(&r->lock);
	return (last);
}
