/*
 * within SECONDS COMMAND [ARGUMENT...]
 *
 * Runs a test within its own time and leaves no process of it behind: becomes
 * the reaper of all its descendants, whatever process group or session they
 * moved to, and ends what is left. Exits as the command does; 124 when the
 * time was up, 125 when the command succeeded but left processes that were
 * still there after a grace.
 */
#include <sys/prctl.h>
#include <sys/wait.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 5000
#define STEP_MS 10
#define PIDS_MAX 4096

enum { TIMED_OUT = 124, LEFT_OVER = 125, FAILED = 126 };

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
	interrupted = sig;
}

static long
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	(void)nanosleep(&t, NULL);
}

/* Parent of a process, 0 if it is gone; name for the report. */
static pid_t
parent_of(pid_t pid, char *name, size_t size)
{
	char path[64], line[512], *open, *close;
	long parent;
	FILE *f;
	size_t n;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	n = fread(line, 1, sizeof(line) - 1, f);
	(void)fclose(f);
	line[n] = '\0';
	open = strchr(line, '(');
	close = strrchr(line, ')');
	if (open == NULL || close == NULL || close < open ||
	    strlen(close) < 4)
		return 0;
	*close = '\0';
	(void)snprintf(name, size, "%s", open + 1);
	parent = strtol(close + 3, NULL, 10);
	return (pid_t)parent;
}

struct proc {
	pid_t pid, parent;
	char name[32];
	int ours;
};

static size_t
read_all(struct proc *all, size_t max)
{
	struct dirent *d;
	DIR *dir = opendir("/proc");
	size_t n = 0;

	if (dir == NULL)
		return 0;
	while (n < max && (d = readdir(dir)) != NULL) {
		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		memset(&all[n], 0, sizeof(all[n]));
		all[n].pid = (pid_t)strtol(d->d_name, NULL, 10);
		all[n].parent = parent_of(all[n].pid, all[n].name,
		    sizeof(all[n].name));
		n++;
	}
	(void)closedir(dir);
	return n;
}

static int
is_ours(const struct proc *all, size_t n, const struct proc *p)
{
	size_t i;

	if (p->parent == getpid())
		return 1;
	for (i = 0; i < n; i++) {
		if (all[i].ours && all[i].pid == p->parent)
			return 1;
	}
	return 0;
}

/* Sends sig (0: none) to every descendant; how many there are. */
static size_t
descendants(int sig, int tell)
{
	static struct proc all[PIDS_MAX];
	size_t i, n = read_all(all, PIDS_MAX), count = 0;
	int again = 1;

	while (again) {
		again = 0;
		for (i = 0; i < n; i++) {
			if (all[i].ours || !is_ours(all, n, &all[i]))
				continue;
			all[i].ours = again = 1;
			count++;
			if (sig != 0)
				(void)kill(all[i].pid, sig);
			if (tell)
				fprintf(stderr,
				    "within: left process %ld (%s)\n",
				    (long)all[i].pid, all[i].name);
		}
	}
	return count;
}

/* Collects ended children; the main one's status goes to *status. */
static int
reap(pid_t child, int *status)
{
	int s, seen = 0;
	pid_t p;

	while ((p = waitpid(-1, &s, WNOHANG)) > 0) {
		if (p != child)
			continue;
		*status = s;
		seen = 1;
	}
	return seen;
}

/* Waits until no descendant is left or the time is over: how many are. */
static size_t
wait_gone(long ms)
{
	long end = now_ms() + ms;
	int ignored;
	size_t n;

	for (;;) {
		(void)reap(-1, &ignored);
		n = descendants(0, 0);
		if (n == 0 || now_ms() >= end)
			return n;
		pause_ms(STEP_MS);
	}
}

static void
end_all(void)
{
	(void)descendants(SIGTERM, 0);
	if (wait_gone(GRACE_MS) == 0)
		return;
	while (descendants(SIGKILL, 0) > 0) {
		int ignored;

		(void)reap(-1, &ignored);
		pause_ms(STEP_MS);
	}
}

static int
watch(pid_t child, long limit_ms)
{
	long end = now_ms() + limit_ms;
	int status = 0;

	while (!reap(child, &status)) {
		if (interrupted || now_ms() >= end) {
			fprintf(stderr, "within: %s\n",
			    interrupted ? "interrupted" : "time is up");
			end_all();
			return TIMED_OUT;
		}
		pause_ms(STEP_MS);
	}
	if (wait_gone(GRACE_MS) > 0) {
		(void)descendants(0, 1);
		end_all();
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return LEFT_OVER;
	}
	if (WIFSIGNALED(status)) {
		fprintf(stderr, "within: killed by signal %d\n",
		    WTERMSIG(status));
		return 128 + WTERMSIG(status);
	}
	return WEXITSTATUS(status);
}

int
main(int argc, char **argv)
{
	struct sigaction sa;
	long seconds;
	pid_t child;

	if (argc < 3 || (seconds = strtol(argv[1], NULL, 10)) <= 0) {
		fprintf(stderr, "usage: within SECONDS COMMAND...\n");
		return FAILED;
	}
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_signal;
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
		return FAILED;
	child = fork();
	if (child == -1)
		return FAILED;
	if (child == 0) {
		(void)setsid();
		(void)execvp(argv[2], argv + 2);
		fprintf(stderr, "within: %s: %s\n", argv[2], strerror(errno));
		_exit(127);
	}
	return watch(child, seconds * 1000);
}
