#ifndef BENCH_SIM_H
#define BENCH_SIM_H

#include <stddef.h>
#include <stdint.h>

/*
 * Gateways, simulated in this process, each whole: a stream of the feed over
 * a connection of its own, its own keys (pinned root) and revocation set,
 * every message's signature checked before it counts, one session (a socket
 * pair) that a revocation closes, and a receipt over a second connection
 * after that. What they share is the threads that run them: more than cores,
 * so that, as with processes of their own, no core stands idle beside a queue.
 */
struct sim;
struct sim_conf {
	const char *host, *enrolments; /* a folder with the files 1, 2, … */
	unsigned port;
	size_t gateways, threads;
	uint64_t device; /* number of the first session's */
};
/* Opens all and waits until each has keys and a heartbeat. NULL: told. */
struct sim *sim_open(const struct sim_conf *conf);
void sim_close(struct sim **s);

/* Before an event: forget the last; sessions opened from now on are of it. */
void sim_expect(struct sim *s, uint64_t next_device);
struct sim_done {
	size_t closed;	 /* sessions */
	int64_t sent_us; /* when the last receipt was on its way, monotonic */
	int64_t kept_us; /* when the last one had been answered */
};
/* Until every gateway's receipt was answered; -1 after a line on stderr. */
int sim_wait(struct sim *s, struct sim_done *out);

#endif
