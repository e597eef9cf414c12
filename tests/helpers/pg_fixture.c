#include "tests/helpers/pg_fixture.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "authd/embedded.h"
#include "authd/store/store.h"

#define DEADLINE_S 120

struct pg_fixture {
	char dir[512];
	struct embedded *em;
};

static int
remove_one(const char *path, const struct stat *sb, int type, struct FTW *f)
{
	(void)sb;
	(void)type;
	(void)f;
	return remove(path);
}

int
remove_tree(const char *path)
{
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *
pg_fixture_sql_dir(void)
{
	const char *dir = getenv("FEALTY_SQL_DIR");

	return dir != NULL ? dir : FEALTY_SRC_SQL;
}

int
pg_fixture_start(struct pg_fixture **out)
{
	const char *base = getenv("FEALTY_TEST_DIR");
	struct embedded_conf conf = {0};
	struct detail d = {""};
	struct pg_fixture *f = NULL;
	char dir[600], roles[700];
	enum err e;

	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "%s/fealty-test-XXXXXX",
	    base != NULL ? base : "/tmp");
	if (mkdtemp(f->dir) == NULL) {
		perror(f->dir);
		free(f);
		return -1;
	}
	(void)snprintf(dir, sizeof(dir), "%s/d", f->dir);
	(void)snprintf(roles, sizeof(roles), "%s/roles.sql",
	    pg_fixture_sql_dir());
	conf.dir = dir;
	conf.roles_file = roles;
	e = embedded_start(&conf, &f->em, &d);
	if (e == ERR_OK)
		e = store_migrate(embedded_owner(f->em),
		    pg_fixture_sql_dir(), &d);
	if (e != ERR_OK) {
		(void)fprintf(stderr, "private PostgreSQL: %s: %s\n",
		    err_name(e), d.text);
		pg_fixture_stop(&f);
		return -1;
	}
	*out = f;
	return 0;
}

const char *
pg_fixture_app(const struct pg_fixture *f)
{
	return embedded_app(f->em);
}

const char *
pg_fixture_owner(const struct pg_fixture *f)
{
	return embedded_owner(f->em);
}

int
pg_fixture_crash(struct pg_fixture *f)
{
	pid_t pid = embedded_pid(f->em);

	return pid > 0 && kill(pid, SIGKILL) == 0 ? 0 : -1;
}

int
pg_fixture_revive(struct pg_fixture *f)
{
	const struct timespec pause = {0, 50000000};
	time_t until = time(NULL) + DEADLINE_S;

	while (time(NULL) < until) {
		if (embedded_check(f->em) == ERR_OK)
			return 0;
		(void)nanosleep(&pause, NULL);
	}
	return -1;
}

void
pg_fixture_stop(struct pg_fixture **p)
{
	struct pg_fixture *f;

	if (p == NULL || *p == NULL)
		return;
	f = *p;
	*p = NULL;
	embedded_stop(&f->em);
	(void)remove_tree(f->dir);
	free(f);
}
