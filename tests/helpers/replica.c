#include "tests/helpers/replica.h"

#include <sys/stat.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/helpers/pg_fixture.h"
#include "tests/helpers/process.h"

#define BIN "/usr/lib/postgresql/15/bin/"
#define LIMIT 120
#define ARGS_MAX 24

/* Runs argv; says what it said when it failed. */
static int
run(const char *const *argv)
{
	static struct ran r;

	if (process_run(argv, NULL, LIMIT, &r) == 0)
		return 0;
	(void)fprintf(stderr, "%s: %s\n", argv[0], r.err);
	return -1;
}

int
replica_sql(const char *socket, const char *sql)
{
	const char *argv[] = {BIN "psql", "-h", socket, "-U", "fealty_super",
	    "-d", "fealty", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql,
	    NULL};

	return run(argv);
}

/* Before argv, if need be, what makes it run as the database's user. */
static void
as_user(const struct replica *r, const char *const *argv,
    const char *out[ARGS_MAX])
{
	static char uid[32], gid[32];
	size_t n = 0;

	(void)snprintf(uid, sizeof(uid), "--reuid=%u", (unsigned)r->uid);
	(void)snprintf(gid, sizeof(gid), "--regid=%u", (unsigned)r->gid);
	if (geteuid() == 0) {
		out[n++] = "setpriv";
		out[n++] = uid;
		out[n++] = gid;
		out[n++] = "--clear-groups";
		out[n++] = "--pdeathsig=KILL";
	}
	while (*argv != NULL && n < ARGS_MAX - 1)
		out[n++] = *argv++;
	out[n] = NULL;
}

/* The primary lets its own user copy and follow it. */
static int
let_in(const char *db, const char *socket)
{
	static const char line[] = "local replication all trust\n";
	char path[1024];
	int fd, ok;

	(void)snprintf(path, sizeof(path), "%s/pg_hba.conf", db);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	ok = fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line);
	if (fd >= 0)
		(void)close(fd);
	return ok ? replica_sql(socket, "SELECT pg_reload_conf()") : -1;
}

static int
copy(const struct replica *r, const char *socket)
{
	const char *copying[] = {BIN "pg_basebackup", "-h", socket, "-U",
	    "fealty_super", "-D", r->dir, "-R", "-X", "stream",
	    "--checkpoint=fast", "--no-sync", NULL};
	const char *argv[ARGS_MAX];

	as_user(r, copying, argv);
	return run(argv);
}

static int
launch(struct replica *r)
{
	char sockets[128], log[128];
	const char *starting[] = {BIN "postgres", "-D", r->dir, "-c",
	    "listen_addresses=", "-c", sockets, "-c", "port=5432", "-c",
	    "max_connections=300", "-c", "fsync=off", NULL};
	const char *argv[ARGS_MAX];
	long deadline = process_deadline(LIMIT);

	(void)snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s",
	    r->socket);
	(void)snprintf(log, sizeof(log), "%s/log", r->dir);
	as_user(r, starting, argv);
	r->pid = process_start(argv, log, log);
	while (r->pid > 0 && process_left(deadline)) {
		const char *ready[] = {BIN "pg_isready", "-q", "-h",
		    r->socket, NULL};
		static struct ran ran;

		if (process_run(ready, NULL, LIMIT, &ran) == 0)
			return 0;
		process_pause();
	}
	return -1;
}

int
replica_start(const char *db, const char *socket, struct replica *out)
{
	struct replica r = {.pid = 0};
	struct stat sb;

	memset(out, 0, sizeof(*out));
	if (stat(db, &sb) != 0 || let_in(db, socket) != 0)
		return -1;
	r.uid = sb.st_uid;
	r.gid = sb.st_gid;
	(void)snprintf(r.dir, sizeof(r.dir), "/tmp/fealty-replica-XXXXXX");
	if (mkdtemp(r.dir) == NULL)
		return -1;
	(void)snprintf(r.socket, sizeof(r.socket), "%s", r.dir);
	if (chown(r.dir, r.uid, r.gid) != 0 || copy(&r, socket) != 0 ||
	    launch(&r) != 0) {
		replica_stop(&r);
		return -1;
	}
	*out = r;
	return 0;
}

void
replica_stop(struct replica *r)
{
	if (r->pid > 0) {
		process_signal_family(r->pid, SIGCONT);
		(void)process_stop(&r->pid, SIGINT);
	}
	if (r->dir[0] != '\0')
		(void)remove_tree(r->dir);
	memset(r, 0, sizeof(*r));
}
