/*
 * The floor of a burn: what a unit cannot do without, and nothing else. Three
 * transactions that have to last, one after the other; between them, on the
 * station's side, a file and its name, and two lines of a journal. SLOTS
 * units side by side. burnfloor CONNINFO DIR SLOTS UNITS
 */
#include <fcntl.h>
#include <libpq-fe.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench/stats.h"

#define SLOTS_MAX 64
#define COMMITS 3
#define RECORD 500 /* octets of a record, or of a journal's line */

struct slot {
	pthread_t thread;
	PGconn *db;
	unsigned number;
	int bad;
};
static const char *dir;
static unsigned long units;
static int journal = -1;

static int
commit_row(PGconn *db)
{
	PGresult *r = PQexecPrepared(db, "row", 0, NULL, NULL, NULL, 1);
	int ok = PQresultStatus(r) == PGRES_COMMAND_OK;

	PQclear(r);
	return ok ? 0 : -1;
}

static int
write_synced(int fd, const char *octets)
{
	return write(fd, octets, RECORD) == RECORD && fsync(fd) == 0 ? 0 : -1;
}

/* A file that is whole under its name, or not there. */
static int
write_record(unsigned slot, unsigned long unit, const char *octets)
{
	char draft[PATH_MAX], name[PATH_MAX];
	int fd, at, bad;

	(void)snprintf(draft, sizeof(draft), "%s/%u.new", dir, slot);
	(void)snprintf(name, sizeof(name), "%s/%u-%lu", dir, slot, unit);
	fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	bad = write_synced(fd, octets);
	(void)close(fd);
	if (bad || rename(draft, name) != 0)
		return -1;
	at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bad = at < 0 || fsync(at) != 0;
	if (at >= 0)
		(void)close(at);
	return bad ? -1 : 0;
}

static int
burn(struct slot *s, unsigned long unit)
{
	char octets[RECORD];

	memset(octets, 'x', sizeof(octets));
	return commit_row(s->db) != 0 || commit_row(s->db) != 0 ||
	    write_record(s->number, unit, octets) != 0 ||
	    write_synced(journal, octets) != 0 || commit_row(s->db) != 0 ||
	    write_synced(journal, octets) != 0;
}

static void *
run(void *arg)
{
	struct slot *s = arg;
	unsigned long i;

	for (i = 0; i < units && !s->bad; i++)
		s->bad = burn(s, i);
	return NULL;
}

static int
begin(struct slot *s, const char *conninfo)
{
	PGresult *r;
	int ok;

	s->db = PQconnectdb(conninfo);
	r = PQexec(s->db, "SET client_min_messages = error; "
	    "CREATE TABLE IF NOT EXISTS bench_burn "
	    "(n bigserial PRIMARY KEY, octets bytea DEFAULT '\\x00')");
	ok = PQresultStatus(r) == PGRES_COMMAND_OK;
	PQclear(r);
	if (!ok)
		return -1;
	r = PQprepare(s->db, "row", "INSERT INTO bench_burn DEFAULT VALUES",
	    0, NULL);
	ok = PQresultStatus(r) == PGRES_COMMAND_OK;
	PQclear(r);
	return ok ? 0 : -1;
}

int
main(int argc, char **argv)
{
	struct slot slots[SLOTS_MAX] = {{.bad = 0}};
	unsigned long n = argc == 5 ? strtoul(argv[3], NULL, 10) : 0, i;
	unsigned started = 0;
	char path[PATH_MAX];
	int64_t begun;
	int bad = 0;

	units = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
	if (n < 1 || n > SLOTS_MAX || units < n || units > 1000000) {
		fprintf(stderr, "usage: burnfloor CONNINFO DIR SLOTS UNITS\n");
		return 2;
	}
	dir = argv[2];
	units /= n;
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	journal = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	for (i = 0; i < n && !bad; i++) {
		slots[i].number = (unsigned)i;
		bad = begin(&slots[i], argv[1]) != 0;
	}
	bad |= journal < 0;
	begun = now_us();
	for (; !bad && started < n; started++)
		bad = pthread_create(&slots[started].thread, NULL, run,
		    &slots[started]) != 0;
	for (i = 0; i < started; i++) {
		(void)pthread_join(slots[i].thread, NULL);
		bad |= slots[i].bad;
	}
	if (!bad)
		printf("{\"rate\":%.1f}\n", (double)(units * n) * 1e6 /
		    (double)(now_us() - begun));
	else
		fprintf(stderr, "burnfloor: a unit failed\n");
	for (i = 0; i < n; i++)
		PQfinish(slots[i].db);
	(void)close(journal);
	return bad;
}
