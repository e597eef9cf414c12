#include "tests/helpers/authd_fixture.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/helpers/pg_fixture.h"

#define DEADLINE_S 120
#define ARGS_MAX 64
#define PATH_LEN 768

struct authd_fixture {
	char base[PATH_LEN]; /* "" for a second one: not ours to remove */
	char dir[PATH_LEN];
	char keys[PATH_LEN];
	char run[PATH_LEN];
	char log[PATH_LEN];
	char database[PATH_LEN]; /* of a second one */
	char url[64];
	char admin[64];
	const char *extra[ARGS_MAX / 2];
	pid_t pid;
	unsigned api, device;
};

static void
pause_ms(long ms)
{
	const struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	(void)nanosleep(&ts, NULL);
}

static int
read_text(const char *dir, const char *name, char *out, size_t size)
{
	char path[PATH_LEN + 32];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, out, size - 1);
	(void)close(fd);
	if (n < 0)
		return -1;
	out[n] = '\0';
	out[strcspn(out, "\n")] = out[0] == 'a' ? '\n' : '\0';
	return 0;
}

/* Whatever authd says is in its log; shown when it does not come up. */
static void
show_log(const struct authd_fixture *f)
{
	char line[2100];
	FILE *in = fopen(f->log, "r");

	while (in != NULL && fgets(line, sizeof(line), in) != NULL)
		(void)fputs(line, stderr);
	if (in != NULL)
		(void)fclose(in);
}

static int
arguments(struct authd_fixture *f, const char **argv)
{
	const char *program = getenv("FEALTY_AUTHD");
	int n = 0, i;

	argv[n++] = program != NULL ? program : "authd/authd";
	if (f->database[0] == '\0') {
		argv[n++] = "--embedded";
		argv[n++] = f->dir;
	} else {
		argv[n++] = "--database";
		argv[n++] = f->database;
		argv[n++] = "--keys-dir";
		argv[n++] = f->keys;
		argv[n++] = "--run-dir";
		argv[n++] = f->run;
	}
	argv[n++] = "--sql-dir";
	argv[n++] = pg_fixture_sql_dir();
	argv[n++] = "--listen";
	argv[n++] = "127.0.0.1:0";
	argv[n++] = "--device-listen";
	argv[n++] = "127.0.0.1:0";
	for (i = 0; f->extra[i] != NULL; i++)
		argv[n++] = f->extra[i];
	argv[n] = NULL;
	return n;
}

static void __attribute__((noreturn))
child(struct authd_fixture *f, pid_t parent)
{
	const char *argv[ARGS_MAX + 1];
	int fd;

	(void)arguments(f, argv);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
	fd = open(f->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 ||
	    dup2(fd, STDOUT_FILENO) < 0)
		_exit(126);
	(void)execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* 1 when authd has ended; *status as of waitpid. */
static int
has_ended(struct authd_fixture *f, int *status)
{
	if (waitpid(f->pid, status, WNOHANG) != f->pid)
		return 0;
	f->pid = 0;
	return 1;
}

static int
wait_ready(struct authd_fixture *f)
{
	time_t until = time(NULL) + DEADLINE_S;
	char text[128];
	int status;

	while (time(NULL) < until) {
		if (has_ended(f, &status))
			return -1;
		if (read_text(f->run, "ready", text, sizeof(text)) == 0)
			break;
		pause_ms(20);
	}
	if (read_text(f->run, "ports", text, sizeof(text)) != 0 ||
	    sscanf(text, "api=%u\ndevice=%u", &f->api, &f->device) != 2)
		return -1;
	(void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u",
	    f->api);
	return read_text(f->keys, "admin.credential", f->admin,
	    sizeof(f->admin));
}

static int
launch(struct authd_fixture *f)
{
	char path[PATH_LEN + 32];
	pid_t parent = getpid();

	/* What a crashed one left must not pass for ready. */
	(void)snprintf(path, sizeof(path), "%s/ready", f->run);
	(void)unlink(path);
	f->pid = fork();
	if (f->pid == 0)
		child(f, parent);
	if (f->pid < 0)
		return -1;
	if (wait_ready(f) == 0)
		return 0;
	show_log(f);
	return -1;
}

static struct authd_fixture *
fixture_new(const char *const *extra)
{
	struct authd_fixture *f = calloc(1, sizeof(*f));
	size_t i;

	if (f == NULL)
		return NULL;
	for (i = 0; extra != NULL && extra[i] != NULL &&
	     i + 1 < sizeof(f->extra) / sizeof(f->extra[0]); i++)
		f->extra[i] = extra[i];
	return f;
}

int
authd_fixture_start(const char *const *extra, struct authd_fixture **out)
{
	const char *top = getenv("FEALTY_TEST_DIR");
	struct authd_fixture *f = fixture_new(extra);

	if (f == NULL)
		return -1;
	(void)snprintf(f->base, sizeof(f->base) - 32, "%s/authd-XXXXXX",
	    top != NULL ? top : "/tmp");
	if (mkdtemp(f->base) == NULL || chmod(f->base, 0711) != 0) {
		perror(f->base);
		free(f);
		return -1;
	}
	(void)snprintf(f->dir, sizeof(f->dir), "%.700s/d", f->base);
	(void)snprintf(f->keys, sizeof(f->keys), "%.700s/keys", f->dir);
	(void)snprintf(f->run, sizeof(f->run), "%.700s/run", f->dir);
	(void)snprintf(f->log, sizeof(f->log), "%.700s/log", f->base);
	if (launch(f) != 0) {
		authd_fixture_stop(&f);
		return -1;
	}
	*out = f;
	return 0;
}

int
authd_fixture_second(const struct authd_fixture *first,
    const char *const *extra, struct authd_fixture **out)
{
	char socket_dir[256];

	if (read_text(first->run, "socket-dir", socket_dir,
		sizeof(socket_dir)) != 0)
		return -1;
	return authd_fixture_moved(first, socket_dir, extra, out);
}

int
authd_fixture_moved(const struct authd_fixture *first,
    const char *socket_dir, const char *const *extra,
    struct authd_fixture **out)
{
	struct authd_fixture *f = fixture_new(extra);

	if (f == NULL)
		return -1;
	(void)snprintf(f->database, sizeof(f->database),
	    "host=%s port=5432 user=fealty_app dbname=fealty", socket_dir);
	(void)snprintf(f->dir, sizeof(f->dir), "%s", first->dir);
	(void)snprintf(f->keys, sizeof(f->keys), "%s", first->keys);
	(void)snprintf(f->run, sizeof(f->run), "%.700s/run2", first->base);
	(void)snprintf(f->log, sizeof(f->log), "%.700s/log2", first->base);
	if (launch(f) != 0) {
		authd_fixture_stop(&f);
		return -1;
	}
	*out = f;
	return 0;
}

uint16_t
authd_fixture_api(const struct authd_fixture *f)
{
	return (uint16_t)f->api;
}

uint16_t
authd_fixture_device(const struct authd_fixture *f)
{
	return (uint16_t)f->device;
}

const char *
authd_fixture_url(const struct authd_fixture *f)
{
	return f->url;
}

const char *
authd_fixture_admin(const struct authd_fixture *f)
{
	return f->admin;
}

const char *
authd_fixture_dir(const struct authd_fixture *f)
{
	return f->dir;
}

const char *
authd_fixture_log(const struct authd_fixture *f)
{
	return f->log;
}

pid_t
authd_fixture_pid(const struct authd_fixture *f)
{
	return f->pid;
}

/* The postmaster's process, from the first line of its file. */
static pid_t
postmaster(const struct authd_fixture *f)
{
	char text[64], db[PATH_LEN + 8];

	(void)snprintf(db, sizeof(db), "%s/db", f->dir);
	if (read_text(db, "postmaster.pid", text, sizeof(text)) != 0)
		return 0;
	return (pid_t)strtol(text, NULL, 10);
}

void
authd_fixture_crash(struct authd_fixture *f)
{
	pid_t db = f->database[0] == '\0' ? postmaster(f) : 0;

	if (f->pid > 0) {
		(void)kill(f->pid, SIGKILL);
		if (db > 1)
			(void)kill(db, SIGKILL);
		(void)waitpid(f->pid, NULL, 0);
	}
	f->pid = 0;
}

int
authd_fixture_restart(struct authd_fixture *f)
{
	return f->pid > 0 ? -1 : launch(f);
}

int
authd_fixture_end(struct authd_fixture *f)
{
	time_t until = time(NULL) + DEADLINE_S;
	int status = 0;

	if (f->pid <= 0)
		return -1;
	(void)kill(f->pid, SIGTERM);
	while (time(NULL) < until) {
		if (has_ended(f, &status))
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		pause_ms(10);
	}
	authd_fixture_crash(f);
	return -1;
}

void
authd_fixture_stop(struct authd_fixture **p)
{
	struct authd_fixture *f;

	if (p == NULL || *p == NULL)
		return;
	f = *p;
	*p = NULL;
	if (f->pid > 0)
		(void)authd_fixture_end(f);
	if (f->base[0] != '\0')
		(void)remove_tree(f->base);
	free(f);
}
