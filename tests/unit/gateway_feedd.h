#ifndef TESTS_GATEWAY_FEEDD_H
#define TESTS_GATEWAY_FEEDD_H

#include "tests/unit/unit.h"
#include "fealty/gateway.h"
#include "lib/jose/set.h"

/*
 * An authority in this process that speaks the signed feed: key set,
 * snapshot, stream, answers to questions, receipts. It says what a test has
 * it say, right or wrong.
 */
#define FEED_AUDIENCE "gw-a"
#define FEED_TENANT 7
#define DEADLINE_MS 20000

struct feedd;
struct feedd *feedd_start(void);
void feedd_stop(struct feedd **f);
/* Options of an enrolled gateway of it; the caller may change them. */
struct fealty_options feedd_options(struct feedd *f);
const char *feedd_enrolment(const struct feedd *f);

/* Appends an event and streams it; its position. */
uint64_t feedd_event(struct feedd *f, enum event_kind kind, uint64_t id,
    enum event_effect effect);
/* The same, but the stream says nothing of it. */
uint64_t feedd_quiet_event(struct feedd *f, enum event_kind kind,
    uint64_t id, enum event_effect effect);
uint64_t feedd_head(struct feedd *f);
/* Signs events first to last (positions) as one SET. */
void feedd_set(struct feedd *f, uint64_t first, uint64_t last,
    const struct signer *by, struct buf *out);
void feedd_beat(struct feedd *f, uint64_t head, uint64_t floor,
    int64_t time_ms, const struct signer *by, struct buf *out);
void feedd_keyset(struct feedd *f, uint64_t version, const struct signer *by,
    struct buf *out);
/* One message to every stream. */
void feedd_say(struct feedd *f, const char *event, const char *data);
const struct signer *feedd_feed_key(struct feedd *f);
/* A feed key in place of the old one, in a key set of the next version. */
void feedd_new_feed_key(struct feedd *f);

/* Heartbeats, each 50 ms (1, as it starts) or none. */
void feedd_beating(struct feedd *f, int on);
void feedd_floor(struct feedd *f, uint64_t floor);
/* Of heartbeats and everything else: the authority's clock is off by ms. */
void feedd_clock_off(struct feedd *f, int64_t ms);
/* GET with text/event-stream is answered 404. */
void feedd_streams(struct feedd *f, int on);
/* Snapshots are none (0), or as they should be. */
void feedd_snapshots(struct feedd *f, int on);
/* Everything answers 503 and streams end. */
void feedd_down(struct feedd *f, int down);
void feedd_end_streams(struct feedd *f);

unsigned feedd_stream_requests(struct feedd *f);
unsigned feedd_snapshot_requests(struct feedd *f);
/* The last receipt's position (0: none), and what it said. */
struct feedd_receipt {
	unsigned n; /* how many came */
	uint64_t position;
	uint64_t closed; /* in all */
	int64_t took_us;
	int64_t at_us; /* when it came */
	int sessions;
	char instance[65], seen[2048]; /* and Fealty-Seen of a stream */
};
void feedd_receipt(struct feedd *f, struct feedd_receipt *out);
void feedd_refuse_receipts(struct feedd *f, enum err e); /* ERR_OK: none */
unsigned feedd_refused_receipts(struct feedd *f); /* how many were */

/* A token of device dn, by the token key, at pos. */
void feedd_token(struct feedd *f, uint64_t dn, uint64_t pos, char *out,
    size_t size);
int64_t now_ms(void);
void nap(void);
#define eventually(cond) \
	do { \
		int64_t until_ = now_ms() + DEADLINE_MS; \
		while (!(cond) && now_ms() < until_) \
			nap(); \
		assert_true(cond); \
	} while (0)

#endif
