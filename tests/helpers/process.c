#include "tests/helpers/process.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM_PREFIX "build:"
#define STOP_SECONDS 60

void
process_pause(void)
{
	const struct timespec ts = {0, 10000000};

	(void)nanosleep(&ts, NULL);
}

static long
now_s(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

long
process_deadline(unsigned seconds)
{
	return now_s() + (long)seconds;
}

int
process_left(long deadline)
{
	return now_s() <= deadline;
}

static void __attribute__((noreturn))
become(const char *const *argv, pid_t parent, int in, int out, int err)
{
	const char *top = getenv("FEALTY_BUILD_DIR");
	size_t n = strlen(PROGRAM_PREFIX);
	sigset_t none;
	char path[1024];

	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (getppid() != parent || dup2(in, 0) < 0 || dup2(out, 1) < 0 ||
	    dup2(err, 2) < 0)
		_exit(126);
	if (strncmp(argv[0], PROGRAM_PREFIX, n) == 0)
		(void)snprintf(path, sizeof(path), "%s/%s",
		    top != NULL ? top : ".", argv[0] + n);
	else
		(void)snprintf(path, sizeof(path), "%s", argv[0]);
	(void)execvp(path, (char *const *)(uintptr_t)argv);
	perror(path);
	_exit(127);
}

static pid_t
start(const char *const *argv, int in, int out, int err)
{
	pid_t parent = getpid(), pid;

	if (in < 0 || out < 0 || err < 0)
		return 0;
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0)
		become(argv, parent, in, out, err);
	return pid > 0 ? pid : 0;
}

static void
close_all(int a, int b, int c)
{
	const int fd[] = {a, b, c};
	size_t i;

	for (i = 0; i < 3; i++)
		if (fd[i] >= 0)
			(void)close(fd[i]);
}

int
process_ended(pid_t *pid, int *status)
{
	int s;

	if (*pid <= 0)
		return 1;
	if (waitpid(*pid, &s, WNOHANG) != *pid)
		return 0;
	(void)kill(-*pid, SIGKILL);
	*pid = 0;
	*status = WIFEXITED(s) ? WEXITSTATUS(s) : -1;
	return 1;
}

/* Its status, or -1 when it had to be killed. */
static int
wait_for(pid_t *pid, unsigned seconds)
{
	long deadline = process_deadline(seconds);
	int status = -1;

	while (process_left(deadline)) {
		if (process_ended(pid, &status))
			return status;
		process_pause();
	}
	(void)kill(-*pid, SIGKILL);
	(void)waitpid(*pid, NULL, 0);
	*pid = 0;
	return -1;
}

static size_t
take(int fd, char *out, size_t size)
{
	ssize_t n;

	n = pread(fd, out, size - 1, 0);
	out[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

int
process_run(const char *const *argv, const char *input, unsigned seconds,
    struct ran *r)
{
	int in = memfd_create("in", MFD_CLOEXEC);
	int out = memfd_create("out", MFD_CLOEXEC);
	int err = memfd_create("err", MFD_CLOEXEC);
	size_t len = input == NULL ? 0 : strlen(input);
	pid_t pid = 0;

	r->status = -1;
	r->out[0] = r->err[0] = '\0';
	r->out_len = 0;
	if (in >= 0 && pwrite(in, input == NULL ? "" : input, len, 0) ==
	    (ssize_t)len)
		pid = start(argv, in, out, err);
	if (pid > 0) {
		r->status = wait_for(&pid, seconds);
		r->out_len = take(out, r->out, sizeof(r->out));
		(void)take(err, r->err, sizeof(r->err));
	}
	close_all(in, out, err);
	return r->status;
}

pid_t
process_start(const char *const *argv, const char *out, const char *err)
{
	const int how = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int o = open(out, how, 0600), e = open(err, how, 0600);
	pid_t pid = start(argv, in, o, e);

	close_all(in, o, e);
	return pid;
}

int
process_stop(pid_t *pid, int sig)
{
	if (*pid <= 0)
		return -1;
	(void)kill(*pid, sig);
	return wait_for(pid, STOP_SECONDS);
}

ssize_t
file_text(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	out[0] = '\0';
	if (fd < 0)
		return -1;
	while (len + 1 < size &&
	    (n = read(fd, out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	(void)close(fd);
	out[len] = '\0';
	return n < 0 ? -1 : (ssize_t)len;
}

int
file_wait(const char *path, const char *text, unsigned seconds)
{
	long deadline = process_deadline(seconds);
	size_t size = 1 << 20;
	char *buf = malloc(size);
	int found = 0;

	while (buf != NULL && !found && process_left(deadline)) {
		found = file_text(path, buf, size) > 0 &&
		    strstr(buf, text) != NULL;
		if (!found)
			process_pause();
	}
	free(buf);
	return found ? 0 : -1;
}

void
process_signal_family(pid_t pid, int sig)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	char path[300];
	pid_t parent;
	FILE *f;

	(void)kill(pid, sig);
	while (proc != NULL && (d = readdir(proc)) != NULL) {
		(void)snprintf(path, sizeof(path), "/proc/%s/stat",
		    d->d_name);
		f = atoi(d->d_name) > 1 ? fopen(path, "r") : NULL;
		if (f == NULL)
			continue;
		if (fscanf(f, "%*d (%*[^)]) %*c %d", &parent) == 1 &&
		    parent == pid)
			(void)kill(atoi(d->d_name), sig);
		(void)fclose(f);
	}
	if (proc != NULL)
		(void)closedir(proc);
}
