#ifndef BENCH_SIM_GW_H
#define BENCH_SIM_GW_H

#include <pthread.h>
#include <stdatomic.h>
#include "bench/sim.h"
#include "lib/base/secret.h"
#include "lib/client/sse.h"
#include "lib/jose/set.h"
#include "lib/revoke/revset.h"

#define HEAD_MAX 2048

struct gw;
enum side { SIDE_FEED, SIDE_RECEIPT };
struct end { /* what an epoll event points to */
	struct gw *gw;
	enum side side;
	int fd;
};
enum chunk_state { CHUNK_HEAD, CHUNK_SIZE, CHUNK_DATA, CHUNK_CRLF };
struct gw {
	struct sim *sim;
	struct end feed, receipt;
	char issuer[ISSUER_MAX + 1];
	struct secret credential;
	struct verifier *root;
	struct jwks *keys;
	struct revset *set;
	int ready;
	/* the stream's chunks */
	enum chunk_state chunk;
	size_t left, line_len;
	char line[HEAD_MAX];
	struct sse sse;
	/* the session */
	int session[2];
	uint64_t device, session_pos;
	/* the receipt under way */
	size_t out_len, out_sent, in_len;
	char out[1024], in[HEAD_MAX];
};
struct sim {
	struct sim_conf conf;
	struct gw *gw;
	struct runner {
		struct sim *sim;
		pthread_t thread;
		int epoll, started;
	} * runner;
	_Atomic int stop, failed;
	_Atomic uint64_t device; /* of the next session */
	_Atomic size_t ready, closed, kept;
	_Atomic int64_t sent_us, kept_us;
	pthread_mutex_t lock;
	pthread_cond_t moved;
};

/* The enrolment file, and both connections. -1: told. */
int gw_open(struct gw *g, struct sim *s, size_t number);
void gw_close(struct gw *g);
/* What a connection has for it; -1: lost, or what came was wrong. */
int gw_step(struct end *e);
/* A count has moved on; all: the last one was due. */
void sim_moved(struct sim *s, int all);

#endif
