/*
 * No event is missed and none comes out of order: 16 writers, each a process,
 * are killed (SIGKILL) at random and replaced; so is one of the two authd,
 * with all its transactions; database sessions are cut. Four readers, at
 * either authd, come and go. What a writer was told has to be in each
 * reader's list, under the position he was told, and the list has no hole.
 * By hand: tests/scenario/test_feed_storm --events 100000 [--seed N]
 */
#include "tests/scenario/feed_kit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define WRITERS 16
#define READERS 4
#define EVENTS 10000
#define SLACK 20000   /* that come in while the storm ends */
#define NAME_ROOM 24
#define STALLED_MS 60000
#define SELF "/proc/self/exe"

static struct feed f;
static unsigned long events = EVENTS;
static unsigned seed;

/* ---- a writer: a process of its own ---- */

struct speaker {
	uint16_t port;
	int fd; /* kept between requests */
};

static uint64_t
speak(struct speaker *s, const char *credential, const char *jti)
{
	static struct http_answer a;
	char body[128], text[600];
	const char *p;
	int n;

	n = snprintf(body, sizeof(body), "{\"kind\":\"token\",\"id\":\"%s\","
	    "\"effect\":\"cut\"}", jti);
	n = snprintf(text, sizeof(text), "POST /v1/revocations HTTP/1.1\r\n"
	    "Host: t\r\nAuthorization: Bearer %s\r\nContent-Type: " TYPE_JSON
	    "\r\nContent-Length: %d\r\n\r\n%s", credential, n, body);
	if (s->fd < 0)
		s->fd = http_connect(s->port);
	if (s->fd < 0 || http_send(s->fd, text, (size_t)n) != 0 ||
	    http_receive(s->fd, 0, &a) != 0) {
		if (s->fd >= 0)
			(void)close(s->fd);
		s->fd = -1;
		return 0;
	}
	p = a.status == 201 ? strstr(a.body, "\"pos\":") : NULL;
	return p == NULL ? 0 : strtoull(p + 6, NULL, 10);
}

/* writer PORT PORT CREDENTIAL-FILE NUMBER: tells what it was told. */
static int
writer(char **argv)
{
	struct speaker s[2] = {{(uint16_t)atoi(argv[2]), -1},
	    {(uint16_t)atoi(argv[3]), -1}};
	unsigned dice = (unsigned)atoi(argv[5]), n = 0;
	char credential[ROOM], jti[NAME_ROOM], line[64];
	uint64_t pos;
	int len;

	if (file_text(argv[4], credential, sizeof(credential)) <= 0)
		return 1;
	for (;;) {
		(void)snprintf(jti, sizeof(jti), "w%s-%u", argv[5], n++);
		pos = speak(&s[rand_r(&dice) % 4 == 0], credential, jti);
		if (pos == 0) {
			process_pause();
			continue;
		}
		len = snprintf(line, sizeof(line), "%llu %s\n",
		    (unsigned long long)pos, jti);
		if (write(STDOUT_FILENO, line, (size_t)len) != len)
			return 1;
	}
}

static atomic_uint second_port;
static unsigned births;

static pid_t
start_writer(void)
{
	char port[2][8], number[16], credential[ROOM], told[ROOM], err[ROOM];
	const char *argv[] = {SELF, "writer", port[0], port[1],
	    world_file(&f.w, "admin", credential), number, NULL};
	pid_t pid;

	(void)snprintf(port[0], sizeof(port[0]), "%u", feed_port(&f));
	(void)snprintf(port[1], sizeof(port[1]), "%u",
	    atomic_load(&second_port));
	(void)snprintf(number, sizeof(number), "%u", births++);
	pid = process_start(argv, world_file(&f.w, "told", told),
	    world_file(&f.w, "writers.log", err));
	assert_true(pid > 0);
	return pid;
}

/* ---- a reader: a thread ---- */

struct reader {
	pthread_t thread;
	unsigned dice, streams;
	const char *fault;
	uint64_t begin;
	atomic_ullong at;
	char (*seen)[NAME_ROOM]; /* by position */
};
static atomic_ullong final; /* readers end there; 0: not known yet */

static int
take(struct reader *r, const struct sse_event *e)
{
	uint64_t at = atomic_load(&r->at), n = at - r->begin;
	struct set_run run = {0};
	size_t i;

	if (set_verify(f.keys, ISSUER, e->data, e->len, &run, NULL) !=
	    ERR_OK)
		r->fault = "a run that is not the feed's";
	else if (run.after != at || e->id != run.events[run.n - 1].pos)
		r->fault = "a run that does not follow";
	else if (n + run.n > events + SLACK)
		r->fault = "more than there can be";
	for (i = 0; r->fault == NULL && i < run.n; i++) {
		if (run.events[i].pos != at + 1 + i)
			r->fault = "an event out of order";
		(void)snprintf(r->seen[n + i], NAME_ROOM, "%.23s",
		    run.events[i].id);
	}
	if (r->fault == NULL)
		atomic_store(&r->at, e->id);
	set_run_free(&run);
	return r->fault == NULL;
}

static int
at_end(const struct reader *r)
{
	uint64_t end = atomic_load(&final);

	return end != 0 && atomic_load(&r->at) >= end;
}

static void *
reader_main(void *arg)
{
	int64_t moved = feed_now_ms();
	struct reader *r = arg;
	struct sse *s = NULL;
	struct sse_event e;
	int n;

	while (r->fault == NULL && !at_end(r)) {
		if (feed_now_ms() - moved > STALLED_MS)
			r->fault = "nothing came for a minute";
		if (s == NULL) {
			s = sse_open(rand_r(&r->dice) % 2 ? feed_port(&f) :
			    (uint16_t)atomic_load(&second_port), f.w.admin,
			    FEED_NONE, atomic_load(&r->at));
			r->streams += s != NULL;
		}
		if (s == NULL) {
			process_pause();
			continue;
		}
		n = sse_next(s, 100, &e);
		if (n == 1 && strcmp(e.name, "revocations") == 0 &&
		    take(r, &e))
			moved = feed_now_ms();
		if (n < 0 || rand_r(&r->dice) % 200 == 0)
			sse_close(&s);
	}
	sse_close(&s);
	return NULL;
}

static void
start_readers(struct reader *readers, uint64_t begin)
{
	unsigned i;

	for (i = 0; i < READERS; i++) {
		readers[i].dice = seed + i;
		readers[i].begin = begin;
		atomic_store(&readers[i].at, begin);
		readers[i].seen = calloc(events + SLACK, NAME_ROOM);
		assert_non_null(readers[i].seen);
		assert_int_equal(pthread_create(&readers[i].thread, NULL,
		    reader_main, &readers[i]), 0);
	}
}

/* ---- the storm ---- */

static struct {
	unsigned writers, authds, sessions;
} killed;

static void
cut_sessions(void)
{
	world_sql(&f.w, "SELECT pg_terminate_backend(pid) FROM "
	    "pg_stat_activity WHERE usename = 'fealty_app' "
	    "ORDER BY random() LIMIT 2");
	killed.sessions += 2;
}

static void
kill_authd(void)
{
	authd_fixture_crash(f.second);
	assert_int_equal(authd_fixture_restart(f.second), 0);
	atomic_store(&second_port, authd_fixture_api(f.second));
	killed.authds++;
}

/* One with a fault, or far enough. */
static int
is_over(const struct reader *readers, uint64_t begin)
{
	unsigned i;

	for (i = 0; i < READERS; i++)
		if (readers[i].fault != NULL)
			return 1;
	return atomic_load(&readers[0].at) - begin >= events;
}

static void
storm(const struct reader *readers, uint64_t begin)
{
	pid_t writers[WRITERS];
	unsigned dice = seed, i, step;

	for (i = 0; i < WRITERS; i++)
		writers[i] = start_writer();
	for (step = 1; !is_over(readers, begin); step++) {
		for (i = 0; i < 10; i++)
			process_pause();
		i = (unsigned)rand_r(&dice) % WRITERS;
		(void)process_stop(&writers[i], SIGKILL);
		killed.writers++;
		writers[i] = start_writer();
		if (step % 4 == 0)
			cut_sessions();
		if (step % 20 == 10)
			kill_authd();
	}
	for (i = 0; i < WRITERS; i++)
		(void)process_stop(&writers[i], SIGKILL);
}

static uint64_t
head(void)
{
	const char *p;

	assert_int_equal(world_http(&f.w, "GET", "/v1/revocations?after=0"
	    "&limit=1", f.w.admin, NULL), 200);
	p = strstr(f.w.a.body, "\"head\":");
	assert_non_null(p);
	return strtoull(p + 7, NULL, 10);
}

/* Each line of what was told, in what each reader has seen. */
static unsigned long
compare(const struct reader *readers)
{
	char path[ROOM], line[64], jti[NAME_ROOM];
	unsigned long long pos;
	unsigned long n = 0;
	FILE *in = fopen(world_file(&f.w, "told", path), "r");
	unsigned i;

	assert_non_null(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		assert_int_equal(sscanf(line, "%llu %23s", &pos, jti), 2);
		for (i = 0; i < READERS; i++)
			if (pos > atomic_load(&readers[i].at) || strcmp(
			    readers[i].seen[pos - readers[i].begin - 1],
			    jti) != 0)
				fail_msg("reader %u has not %s at %llu", i,
				    jti, pos);
		n++;
	}
	(void)fclose(in);
	return n;
}

/* What only a killed one was told: the readers agree on it too. */
static void
agree(const struct reader *readers)
{
	size_t n = (size_t)(atomic_load(&final) - readers[0].begin), i;
	unsigned k;

	for (i = 0; i < n; i++)
		for (k = 1; k < READERS; k++)
			assert_string_equal(readers[k].seen[i],
			    readers[0].seen[i]);
}

static void
no_event_is_missed_whatever_is_killed_in_between(void **state)
{
	static struct reader readers[READERS];
	int64_t from = feed_now_ms();
	unsigned long told, n;
	unsigned i, streams = 0;
	uint64_t begin;
	struct sse *s;

	(void)state;
	print_message("# seed %u\n", seed);
	s = feed_listen(&f, feed_port(&f), FEED_NONE);
	sse_close(&s);
	begin = feed_revoke(&f, feed_port(&f), "begin");
	assert_true(begin != 0);
	start_readers(readers, begin);
	storm(readers, begin);
	/* authd may still be at what the last ones asked for */
	cut_sessions();
	atomic_store(&final, feed_revoke(&f, feed_port(&f), "end"));
	if (atomic_load(&final) == 0)
		atomic_store(&final, head());
	for (i = 0; i < READERS; i++) {
		(void)pthread_join(readers[i].thread, NULL);
		streams += readers[i].streams;
		if (readers[i].fault != NULL)
			fail_msg("reader %u: %s", i, readers[i].fault);
	}
	n = (unsigned long)(atomic_load(&final) - begin);
	agree(readers);
	told = compare(readers);
	print_message("# %lu events in %.1f s, %lu of them acknowledged; "
	    "killed: %u writers, %u authd, %u database sessions; %u streams\n",
	    n, (double)(feed_now_ms() - from) / 1000, told, killed.writers,
	    killed.authds, killed.sessions, streams);
	assert_true(n >= events && told > n / 2);
	assert_true(killed.writers > 0 && killed.authds > 0);
	for (i = 0; i < READERS; i++)
		free(readers[i].seen);
}

static int
setup(void **state)
{
	(void)state;
	feed_open(&f);
	atomic_store(&second_port, authd_fixture_api(f.second));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	feed_close(&f);
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		no_event_is_missed_whatever_is_killed_in_between),
	};
	const char *given = getenv("FEALTY_TEST_SEED");
	int i;

	if (argc == 6 && strcmp(argv[1], "writer") == 0)
		return writer(argv);
	seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) :
	    (unsigned)time(NULL);
	for (i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--events") == 0)
			events = strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = (unsigned)strtoul(argv[i + 1], NULL, 10);
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
