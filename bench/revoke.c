/*
 * How long a revocation takes: from the moment an admin sends the request to
 * the moment the last of many simulated gateways (sim.h) has applied the
 * event, closed the session it names and sent its receipt. One at a time;
 * between two, the device is reinstated and every gateway has it back.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bench/conn.h"
#include "bench/sim.h"
#include "bench/stats.h"
#include "lib/base/buf.h"
#include "lib/base/opt.h"
#include "lib/client/client.h"

#define DEVICES_MAX 64
#define ANSWER_MS 20000

struct options {
	const char *host, *enrolments, *credential_file;
	uint64_t port, gateways, threads, count, devices;
	int help;
};

struct bench {
	struct options o;
	struct secret credential;
	struct conn_pool *admin;
	struct sim *sim;
	uint64_t device[DEVICES_MAX];
	int64_t *sent_us, *kept_us, *told_us;
};

/* A request of the admin's and its answer, which has to be 200. */
static int
ask(struct bench *b, const char *method, size_t device, const char *verb)
{
	struct buf request = {.max = 2048};
	struct conn *c = &b->admin->conns[0];
	struct plan_entry e = {0};
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	int r = -1;

	if (buf_fmt(&request,
		"%s /v1/devices/B%zu%s HTTP/1.1\r\nHost: bench\r\n"
		"Authorization: Bearer %.*s\r\n"
		"Content-Type: application/json\r\n"
		"Content-Length: %d\r\n\r\n%s",
		method, device + 1, verb, (int)b->credential.len,
		(const char *)b->credential.p, verb[0] != '\0' ? 2 : 0,
		verb[0] != '\0' ? "{}" : "") != ERR_OK)
		return -1;
	e.request = request.p;
	e.request_len = request.len;
	conn_send(c, &e);
	r = conn_write(c);
	while (r == 0 && (r = conn_read(c)) == 0)
		if (poll(&p, 1, ANSWER_MS) != 1)
			r = -1;
	buf_free(&request);
	if (r == 1 && c->status == 200)
		return 0;
	fprintf(stderr, "%s B%zu%s: %d %.*s\n", method, device + 1, verb,
	    r == 1 ? c->status : 0, r == 1 ? (int)c->body_len : 0, c->body);
	return -1;
}

static int
find_devices(struct bench *b)
{
	static const char mark[] = "\"number\":";
	struct conn *c = &b->admin->conns[0];
	const char *p;
	size_t i;

	for (i = 0; i < b->o.devices; i++) {
		if (ask(b, "GET", i, "") != 0)
			return -1;
		p = memmem(c->body, c->body_len, mark, sizeof(mark) - 1);
		if (p == NULL)
			return -1;
		b->device[i] = strtoull(p + sizeof(mark) - 1, NULL, 10);
	}
	return 0;
}

static int
revoke_one(struct bench *b, size_t i)
{
	size_t at = i % b->o.devices, next = (i + 1) % b->o.devices;
	struct sim_done done;
	int64_t begun_us;

	sim_expect(b->sim, b->device[next]);
	begun_us = now_us();
	if (ask(b, "POST", at, "/suspend") != 0)
		return -1;
	b->told_us[i] = now_us() - begun_us;
	if (sim_wait(b->sim, &done) != 0)
		return -1;
	if (done.closed != b->o.gateways) {
		fprintf(stderr, "%zu of %llu sessions closed\n", done.closed,
		    (unsigned long long)b->o.gateways);
		return -1;
	}
	b->sent_us[i] = done.sent_us - begun_us;
	b->kept_us[i] = done.kept_us - begun_us;
	sim_expect(b->sim, b->device[next]);
	if (ask(b, "POST", at, "/reinstate") != 0)
		return -1;
	return sim_wait(b->sim, &done);
}

static int
ascending(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static long long
percentile(const int64_t *v, size_t n, unsigned share)
{
	return (long long)v[n * share / 100 < n ? n * share / 100 : n - 1];
}

static int
measure(struct bench *b)
{
	size_t i, n = (size_t)b->o.count;

	b->sent_us = calloc(n, sizeof(*b->sent_us));
	b->kept_us = calloc(n, sizeof(*b->kept_us));
	b->told_us = calloc(n, sizeof(*b->told_us));
	if (b->sent_us == NULL || b->kept_us == NULL || b->told_us == NULL)
		return -1;
	for (i = 0; i < n; i++)
		if (revoke_one(b, i) != 0)
			return -1;
	qsort(b->sent_us, n, sizeof(*b->sent_us), ascending);
	qsort(b->kept_us, n, sizeof(*b->kept_us), ascending);
	qsort(b->told_us, n, sizeof(*b->told_us), ascending);
	printf("{\"revocations\":%zu,\"p50_us\":%lld,\"p99_us\":%lld,"
	       "\"max_us\":%lld,\"kept_p50_us\":%lld,\"kept_p99_us\":%lld,"
	       "\"told_p50_us\":%lld}\n",
	    n, percentile(b->sent_us, n, 50), percentile(b->sent_us, n, 99),
	    (long long)b->sent_us[n - 1], percentile(b->kept_us, n, 50),
	    percentile(b->kept_us, n, 99), percentile(b->told_us, n, 50));
	return 0;
}

#define O(m) offsetof(struct options, m)
static const struct opt table[] = {
    {"host", 0, OPT_STRING, "ADDRESS", "IPv4 address", O(host), 0, "127.0.0.1"},
    {"port", 0, OPT_NUMBER, "N", "of the API", O(port), 65535, NULL},
    {"enrolments", 0, OPT_STRING, "DIR", "enrolment files 1, 2, ...",
	O(enrolments), 0, NULL},
    {"credential-file", 0, OPT_STRING, "FILE", "the admin's",
	O(credential_file), 0, NULL},
    {"gateways", 0, OPT_NUMBER, "N", "how many", O(gateways), 4096, "10"},
    {"threads", 0, OPT_NUMBER, "N", "that run them", O(threads), 64, "8"},
    {"count", 0, OPT_NUMBER, "N", "revocations", O(count), 1000000, "2000"},
    {"devices", 0, OPT_NUMBER, "N", "B1, B2, ... in turn", O(devices),
	DEVICES_MAX, "4"},
    {"help", 'h', OPT_FLAG, NULL, "show this help", O(help), 0, NULL},
};
#undef O
#define NOPTIONS (sizeof(table) / sizeof(table[0]))

static int
drive(struct bench *b)
{
	struct sim_conf conf = {.host = b->o.host,
	    .enrolments = b->o.enrolments,
	    .port = (unsigned)b->o.port,
	    .gateways = (size_t)b->o.gateways,
	    .threads = (size_t)b->o.threads};

	if (client_read_credential(b->o.credential_file, &b->credential) !=
	    ERR_OK)
		return -1;
	b->admin = conn_pool_open(
	    b->o.host, (unsigned)b->o.port, 1, NULL, 0);
	if (b->admin == NULL || find_devices(b) != 0)
		return -1;
	conf.device = b->device[0];
	b->sim = sim_open(&conf);
	return b->sim == NULL ? -1 : measure(b);
}

int
main(int argc, char **argv)
{
	struct bench b = {.admin = NULL};
	struct detail d = {""};
	int rest, rc;

	if (opt_parse(table, NOPTIONS, NULL, argc, argv, &b.o, &rest, &d) !=
		ERR_OK ||
	    b.o.help || b.o.port == 0 || b.o.enrolments == NULL ||
	    b.o.credential_file == NULL || b.o.gateways == 0 ||
	    b.o.threads == 0 || b.o.count == 0 || b.o.devices < 2) {
		fprintf(stderr, "revoke: %s\n", d.text);
		opt_help(table, NOPTIONS);
		return 2;
	}
	rc = drive(&b);
	sim_close(&b.sim);
	conn_pool_close(b.admin);
	secret_free(&b.credential);
	free(b.sent_us);
	free(b.kept_us);
	free(b.told_us);
	return rc == 0 ? 0 : 1;
}
