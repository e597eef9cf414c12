/* The processes of a private PostgreSQL: started, watched, ended. */
#include "authd/embedded_impl.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "authd/store/bootstrap.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

#define READY_MS 120000 /* recovery after a crash may take its time */
#define FAST_MS 20000
#define QUIT_MS 5000
#define POLL_MS 20
#define LOG_MAX (16 << 20)

void
em_sleep_ms(int ms)
{
	const struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

	(void)nanosleep(&ts, NULL);
}

/* The log of the server and its tools; begun anew when it is large. */
static int
open_log(const struct embedded *em)
{
	struct stat sb;
	int fd;

	if (em == NULL || em->run_fd < 0)
		return open("/dev/null", O_WRONLY | O_CLOEXEC);
	fd = openat(em->run_fd, "postgres.log",
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && fstat(fd, &sb) == 0 && sb.st_size > LOG_MAX)
		(void)!ftruncate(fd, 0);
	return fd;
}

static int
become(const struct embedded *em)
{
	if (em == NULL || !em->drop)
		return 1;
	return setgroups((size_t)em->ngroups, em->groups) == 0 &&
	    setgid(em->gid) == 0 && setuid(em->uid) == 0 && setuid(0) != 0;
}

/* Nothing of ours is inherited but output and the one descriptor. */
static int
arrange(int log_fd, int keep_fd)
{
	int null = open("/dev/null", O_RDONLY), keep;
	sigset_t none;

	if (null < 0 || log_fd < 0)
		return 0;
	keep = keep_fd < 0 ? -1 : fcntl(keep_fd, F_DUPFD, 20);
	if (keep_fd >= 0 && keep < 0)
		return 0;
	if (dup2(null, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0)
		return 0;
	if (keep >= 0 && dup2(keep, EM_KEEP_FD) != EM_KEEP_FD)
		return 0;
	if (keep >= 0)
		(void)close_range(3, EM_KEEP_FD - 1, 0);
	(void)close_range(keep >= 0 ? EM_KEEP_FD + 1 : 3, ~0u, 0);
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) == 0;
}

static void
default_signals(void)
{
	static const int sigs[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE,
	    SIGCHLD, SIGUSR1, SIGUSR2, SIGALRM};
	size_t i;

	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		(void)signal(sigs[i], SIG_DFL);
}

/* In the child: never returns. */
static void
exec_child(const struct embedded *em, char *const argv[], int keep_fd,
    pid_t parent)
{
	/* The locale and paths of initdb are ours, not the caller's. */
	char *const env[] = {(char[]){"PATH=/usr/bin:/bin"},
	    (char[]){"LC_ALL=C.UTF-8"}, (char[]){"TZ=UTC"}, NULL};
	int log_fd = open_log(em);

	default_signals();
	(void)setsid();
	(void)umask(077);
	if (chdir("/") != 0 || !become(em) || !arrange(log_fd, keep_fd))
		_exit(126);
	/* After setuid, which clears it; the parent may be gone already. */
	if (parent != 0 && (prctl(PR_SET_PDEATHSIG, SIGINT) != 0 ||
	    getppid() != parent))
		_exit(126);
	(void)execve(argv[0], argv, env);
	_exit(127);
}

enum err
em_spawn(struct embedded *em, char *const argv[], int keep_fd,
    int die_with_us, pid_t *out)
{
	pid_t parent = getpid(), pid;

	pid = fork();
	if (pid < 0)
		return ERR_IO;
	if (pid == 0)
		exec_child(em, argv, keep_fd, die_with_us ? parent : 0);
	*out = pid;
	return ERR_OK;
}

int
em_wait(pid_t pid, int64_t ms, int *status)
{
	int64_t until = clock_mono_ms(&clock_system) + ms;
	pid_t got;

	for (;;) {
		got = waitpid(pid, status, WNOHANG);
		if (got == pid || (got < 0 && errno != EINTR))
			return 1;
		if (clock_mono_ms(&clock_system) >= until)
			return 0;
		em_sleep_ms(POLL_MS);
	}
}

enum err
em_run(struct embedded *em, char *const argv[], int keep_fd, int64_t ms)
{
	int status = -1;
	enum err e;
	pid_t pid;

	/* With us too: an authd killed here leaves no initdb behind. */
	e = em_spawn(em, argv, keep_fd, 1, &pid);
	if (e != ERR_OK)
		return e;
	if (!em_wait(pid, ms, &status)) {
		(void)kill(-pid, SIGKILL);
		(void)em_wait(pid, QUIT_MS, &status);
		return ERR_IO;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? ERR_OK : ERR_IO;
}

int
em_reachable(struct embedded *em, const char *path)
{
	char name[EM_PATH];
	char *argv[] = {(char[]){"/usr/bin/test"}, (char[]){"-x"}, name, NULL};

	if (!em->drop)
		return 1;
	(void)snprintf(name, sizeof(name), "%s", path);
	return em_run(em, argv, -1, 10000) == ERR_OK;
}

/* The pid in db/postmaster.pid when it is a server in this very folder. */
static pid_t
leftover(const struct embedded *em)
{
	char text[32] = "", link[64];
	struct stat db, cwd;
	ssize_t n;
	long pid;
	int fd;

	fd = openat(em->db_fd, "postmaster.pid",
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n <= 0)
		return 0;
	pid = strtol(text, NULL, 10);
	if (pid <= 1 || pid > INT_MAX || pid == (long)getpid())
		return 0;
	/* A number alone proves nothing: it may have been given again. */
	(void)snprintf(link, sizeof(link), "/proc/%ld/cwd", pid);
	if (stat(link, &cwd) != 0 || fstat(em->db_fd, &db) != 0)
		return 0;
	return cwd.st_dev == db.st_dev && cwd.st_ino == db.st_ino ?
	    (pid_t)pid : 0;
}

/* No child of ours: gone when the number is, or is another's. */
static int
await_leftover(const struct embedded *em, pid_t pid, int64_t ms)
{
	int64_t until = clock_mono_ms(&clock_system) + ms;

	while (leftover(em) == pid && kill(pid, 0) == 0) {
		if (clock_mono_ms(&clock_system) >= until)
			return 0;
		em_sleep_ms(POLL_MS);
	}
	return 1;
}

enum err
em_end_leftover(struct embedded *em, struct detail *d)
{
	pid_t pid = leftover(em);

	if (pid == 0)
		return ERR_OK;
	log_line(LOG_INFO_, "ending a database server left behind",
	    F_INT("pid", pid));
	(void)kill(pid, SIGINT);
	if (await_leftover(em, pid, FAST_MS))
		return ERR_OK;
	(void)kill(pid, SIGQUIT);
	if (await_leftover(em, pid, QUIT_MS))
		return ERR_OK;
	detail_set(d, "a database server left behind (%ld) does not end",
	    (long)pid);
	return ERR_BUSY;
}

enum err
em_server_spawn(struct embedded *em)
{
	char exe[EM_PATH + 16], sock[96];
	char *argv[] = {exe, (char[]){"-D"}, em->data,
	    (char[]){"-c"}, (char[]){"listen_addresses="},
	    (char[]){"-c"}, sock,
	    (char[]){"-c"}, (char[]){"unix_socket_permissions=0700"},
	    (char[]){"-c"}, (char[]){"port=5432"},
	    (char[]){"-c"}, (char[]){"max_connections=300"},
	    (char[]){"-c"}, (char[]){"fsync=on"},
	    (char[]){"-c"}, (char[]){"full_page_writes=on"},
	    (char[]){"-c"}, (char[]){"synchronous_commit=on"},
	    (char[]){"-c"}, (char[]){"logging_collector=off"},
	    (char[]){"-c"}, (char[]){"log_destination=stderr"},
	    /* Statements would carry what must not be in a log. */
	    (char[]){"-c"}, (char[]){"log_min_error_statement=panic"},
	    (char[]){"-c"}, (char[]){"log_checkpoints=off"},
	    (char[]){"-c"}, (char[]){"ssl=off"}, NULL};

	(void)snprintf(exe, sizeof(exe), "%s/postgres", em->bin);
	(void)snprintf(sock, sizeof(sock), "unix_socket_directories=%s",
	    em->socket_dir);
	return em_spawn(em, argv, em->db_fd, 1, &em->pid);
}

/*
 * After a kill -9 of the old server its children hold the shared memory for
 * a moment and a new one refuses to start: again, until the deadline.
 */
enum err
em_server_ready(struct embedded *em, struct detail *d)
{
	int64_t until = clock_mono_ms(&clock_system) + READY_MS;
	int64_t give_up = clock_mono_ms(&clock_system) + FAST_MS;
	enum err e;

	while (clock_mono_ms(&clock_system) < until) {
		if (em->pid != 0 && em_wait(em->pid, 0, NULL)) {
			em->pid = 0;
			if (clock_mono_ms(&clock_system) >= give_up)
				break;
			em_sleep_ms(200);
			e = em_server_spawn(em);
			if (e != ERR_OK)
				return e;
		}
		if (store_ping(em->super) == ERR_OK)
			return ERR_OK;
		em_sleep_ms(POLL_MS);
	}
	detail_set(d, "PostgreSQL does not start: see %.130s/run/postgres.log",
	    em->dir);
	return ERR_STORE;
}
