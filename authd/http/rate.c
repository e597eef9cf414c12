#include "authd/http/rate.h"

#include <pthread.h>
#include <stdlib.h>

#define SETS 256
#define WAYS 8

struct bucket {
	uint64_t key;
	int64_t at;	/* ms when tokens was true; 0: unused */
	uint64_t milli; /* thousandths of a token */
};

struct rate {
	const struct clock *clock;
	uint64_t burst; /* thousandths */
	uint64_t per_s;
	pthread_mutex_t lock;
	struct bucket table[SETS][WAYS];
};

enum err
rate_new(const struct clock *clock, uint32_t burst, uint32_t per_s,
    struct rate **out)
{
	struct rate *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return ERR_NOMEM;
	r->clock = clock;
	r->burst = (uint64_t)burst * 1000;
	r->per_s = per_s;
	(void)pthread_mutex_init(&r->lock, NULL);
	*out = r;
	return ERR_OK;
}

void
rate_free(struct rate **r)
{
	if (*r == NULL)
		return;
	(void)pthread_mutex_destroy(&(*r)->lock);
	free(*r);
	*r = NULL;
}

/* The key's bucket, filled up to now; the oldest of its set if it is new. */
static struct bucket *
bucket_of(struct rate *r, uint64_t key)
{
	struct bucket *set = r->table[key % SETS], *b = NULL;
	int64_t now = clock_mono_ms(r->clock) + 1; /* never 0 */
	uint64_t more;
	int i;

	for (i = 0; i < WAYS; i++) {
		if (set[i].at != 0 && set[i].key == key) {
			b = &set[i];
			break;
		}
		if (b == NULL || set[i].at < b->at)
			b = &set[i];
	}
	if (b->at == 0 || b->key != key) {
		b->key = key;
		b->milli = r->burst;
	} else if (now > b->at) {
		more = (uint64_t)(now - b->at);
		/* a second or a year: full is full */
		more = more > 1000000 ? r->burst : more * r->per_s;
		b->milli = b->milli + more > r->burst ? r->burst :
		    b->milli + more;
	}
	b->at = now;
	return b;
}

int
rate_left(struct rate *r, uint64_t key)
{
	int yes;

	(void)pthread_mutex_lock(&r->lock);
	yes = bucket_of(r, key)->milli >= 1000;
	(void)pthread_mutex_unlock(&r->lock);
	return yes;
}

int
rate_take(struct rate *r, uint64_t key)
{
	struct bucket *b;
	int yes = 0;

	(void)pthread_mutex_lock(&r->lock);
	b = bucket_of(r, key);
	if (b->milli >= 1000) {
		b->milli -= 1000;
		yes = 1;
	}
	(void)pthread_mutex_unlock(&r->lock);
	return yes;
}
