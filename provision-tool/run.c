#include "provision-tool/run.h"

#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/secret.h"

#define GRACE_MS 2000
#define ENV_MAX 16

/* Pipe ends and descriptors are moved up, out of the way of 0 to 3. */
#define LOW_FD 10

struct child {
	pid_t pid;
	int pidfd, out, err, in; /* ours: out and err to read, in to give */
	int out_w, err_w, null;
};

static void
shut(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static int
lift(int fd)
{
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, LOW_FD);

	shut(&fd);
	return high;
}

static enum err
open_pipe(int *r, int *w)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) != 0)
		return ERR_IO;
	*r = lift(fd[0]);
	*w = lift(fd[1]);
	if (*r < 0 || *w < 0 || fcntl(*r, F_SETFL, O_NONBLOCK) != 0)
		return ERR_IO;
	return ERR_OK;
}

/* Sealed: the command reads what we wrote, and so does whoever it hands to. */
static enum err
open_input(const void *p, size_t len, int *fd)
{
	const char *s = p;
	ssize_t n;

	*fd = lift(memfd_create("fealty", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	if (*fd < 0)
		return ERR_IO;
	while (len > 0) {
		n = write(*fd, s, len);
		if (n <= 0)
			return ERR_IO;
		s += n;
		len -= (size_t)n;
	}
	if (fcntl(*fd, F_ADD_SEALS,
		  F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
		0 ||
	    lseek(*fd, 0, SEEK_SET) != 0)
		return ERR_IO;
	return ERR_OK;
}

static enum err
make_env(const char *device_id, char **env)
{
	static const char *const pass[] = {"PATH", "HOME",   "USER",
					   "LANG", "LC_ALL", "LOGNAME",
					   "TZ",   "TMPDIR", "TERM"};
	const char *value;
	size_t i, n = 0;

	if (asprintf(&env[n++], "FEALTY_DEVICE_ID=%s", device_id) < 0) {
		env[0] = NULL;
		return ERR_NOMEM;
	}
	for (i = 0; i < sizeof(pass) / sizeof(pass[0]); i++) {
		value = getenv(pass[i]);
		if (value == NULL)
			continue;
		if (asprintf(&env[n], "%s=%s", pass[i], value) < 0) {
			env[n] = NULL;
			return ERR_NOMEM;
		}
		n++;
	}
	return ERR_OK;
}

static int
set_actions(posix_spawn_file_actions_t *fa, const struct child *c)
{
	return posix_spawn_file_actions_adddup2(fa, c->null, 0) != 0 ||
	       posix_spawn_file_actions_adddup2(fa, c->out_w, 1) != 0 ||
	       posix_spawn_file_actions_adddup2(fa, c->err_w, 2) != 0 ||
	       posix_spawn_file_actions_adddup2(fa, c->in, RUN_FD) != 0 ||
	       posix_spawn_file_actions_addclosefrom_np(fa, RUN_FD + 1) != 0;
}

static int
set_attrs(posix_spawnattr_t *attr)
{
	sigset_t all, none;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	return posix_spawnattr_setpgroup(attr, 0) != 0 ||
	       posix_spawnattr_setsigdefault(attr, &all) != 0 ||
	       posix_spawnattr_setsigmask(attr, &none) != 0 ||
	       posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP |
						  POSIX_SPAWN_SETSIGDEF |
						  POSIX_SPAWN_SETSIGMASK) != 0;
}

/* Spawned, not forked: no copy of our memory, with the key in it, comes. */
static int
spawn(const struct run *r, struct child *c, char **env)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	int rc = ENOMEM;

	if (posix_spawn_file_actions_init(&fa) != 0)
		return rc;
	if (posix_spawnattr_init(&attr) != 0)
		goto out;
	if (!set_actions(&fa, c) && !set_attrs(&attr))
		rc = posix_spawnp(&c->pid, r->argv[0], &fa, &attr, r->argv,
				  env);
	(void)posix_spawnattr_destroy(&attr);
out:
	(void)posix_spawn_file_actions_destroy(&fa);
	return rc;
}

static enum err
start(const struct run *r, struct child *c, struct detail *d)
{
	char *env[ENV_MAX] = {NULL};
	enum err e;
	size_t i;
	int rc = 0;

	if ((e = open_pipe(&c->out, &c->out_w)) != ERR_OK ||
	    (e = open_pipe(&c->err, &c->err_w)) != ERR_OK ||
	    (e = open_input(r->in, r->inlen, &c->in)) != ERR_OK ||
	    (e = make_env(r->device_id, env)) != ERR_OK)
		goto out;
	e = ERR_IO;
	c->null = lift(open("/dev/null", O_RDONLY | O_CLOEXEC));
	if (c->null < 0)
		goto out;
	rc = spawn(r, c, env);
	if (rc != 0) {
		c->pid = -1;
		detail_set(d, "%.100s: %s", r->argv[0], strerror(rc));
		goto out;
	}
	c->pidfd = pidfd_open(c->pid, 0);
	if (c->pidfd >= 0)
		e = ERR_OK;
out:
	for (i = 0; env[i] != NULL; i++)
		free(env[i]);
	shut(&c->out_w);
	shut(&c->err_w);
	shut(&c->in);
	shut(&c->null);
	if (e != ERR_OK)
		detail_set(d, "%.100s cannot be started", r->argv[0]);
	return e;
}

/* All there is now. cut: what is too much is thrown away. */
static enum err
drain(int *fd, struct buf *b, int cut)
{
	char part[4096];
	size_t keep;
	ssize_t n;
	enum err e = ERR_OK;
	int rounds; /* who prints without end must not keep us from the clock */

	for (rounds = 0; e == ERR_OK && *fd >= 0 && rounds < 64; rounds++) {
		n = read(*fd, part, sizeof(part));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			shut(fd);
			break;
		}
		keep = (size_t)n;
		if (cut && keep > b->max - b->len)
			keep = b->max - b->len;
		e = buf_add(b, part, keep);
	}
	wipe(part, sizeof(part));
	return e;
}

/* Until it ends by itself (ERR_OK), prints too much, or the time is over. */
static enum err
attend(const struct run *r, struct child *c, struct buf *out, struct buf *err)
{
	int64_t end = clock_mono_ms(&clock_system) + r->timeout_ms, left;
	struct pollfd p[3];
	int asked = 0;
	enum err e;

	for (;;) {
		p[0] = (struct pollfd){c->pidfd, POLLIN, 0};
		p[1] = (struct pollfd){c->out, POLLIN, 0};
		p[2] = (struct pollfd){c->err, POLLIN, 0};
		left = end - clock_mono_ms(&clock_system);
		if (left <= 0 && asked)
			return ERR_TIMEOUT;
		if (left <= 0) {
			(void)kill(-c->pid, SIGTERM);
			asked = 1;
			end = clock_mono_ms(&clock_system) + GRACE_MS;
			continue;
		}
		(void)poll(p, 3, (int)left);
		e = drain(&c->out, out, r->chatty);
		if (e == ERR_OK)
			e = drain(&c->err, err, 1);
		if (e != ERR_OK)
			return e;
		if (p[0].revents != 0)
			return asked ? ERR_TIMEOUT : ERR_OK;
	}
}

/* While the leader is a zombie, its number is nobody else's. */
static int
finish(struct child *c)
{
	int status = -1;

	if (c->pid <= 0)
		return status;
	(void)kill(-c->pid, SIGKILL);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static enum err
judge(const struct run *r, enum err e, int status, struct detail *d)
{
	const char *name = r->argv[0];

	if (e == ERR_TIMEOUT)
		detail_set(d, "%.80s had not ended after %d ms and was killed",
			   name, r->timeout_ms);
	else if (e == ERR_TOO_LARGE)
		detail_set(d, "%.80s printed too much and was killed", name);
	if (e != ERR_OK)
		return e;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return ERR_OK;
	if (WIFEXITED(status))
		detail_set(d, "%.80s ended with status %d", name,
			   WEXITSTATUS(status));
	else
		detail_set(d, "%.80s was ended by a signal", name);
	return ERR_IO;
}

enum err
run_command(const struct run *r, struct buf *out, struct buf *err,
	    struct detail *d)
{
	struct child c = {-1, -1, -1, -1, -1, -1, -1, -1};
	enum err e;
	int status;

	if ((e = start(r, &c, d)) != ERR_OK) {
		(void)finish(&c);
		goto out;
	}
	e = attend(r, &c, out, err);
	status = finish(&c);
	/* what was printed between the last look and the end */
	if (e == ERR_OK)
		e = drain(&c.out, out, r->chatty);
	if (e == ERR_OK)
		e = drain(&c.err, err, 1);
	e = judge(r, e, status, d);
out:
	shut(&c.out);
	shut(&c.err);
	shut(&c.pidfd);
	return e;
}
