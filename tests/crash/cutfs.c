/*
 * Preloaded into a program under test: a disk that forgets what was not
 * synced, a disk that is full, a call that never returns (cut.h). Built for
 * the tests only.
 */
#include "tests/crash/cut.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct cut *cut;
/* What is there and what is held of it are looked at together. */
static pthread_mutex_t hold_lock = PTHREAD_MUTEX_INITIALIZER;

static int
raw_open(const char *path, int flags, mode_t mode)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static void
raw_close(int fd)
{
	(void)syscall(SYS_close, fd);
}

static void __attribute__((constructor))
attach(void)
{
	const char *path = getenv(CUT_ENV);
	struct cut *c;
	int fd;

	if (path == NULL || (fd = raw_open(path, O_RDWR, 0)) < 0)
		return;
	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	raw_close(fd);
	if (c != MAP_FAILED &&
	    strcmp(c->program, program_invocation_short_name) == 0)
		cut = c;
}

static void __attribute__((noreturn))
die(void)
{
	(void)syscall(SYS_kill, getpid(), SIGKILL);
	for (;;)
		(void)syscall(SYS_pause);
}

static void
wait_for_test(void)
{
	const struct timespec ts = {0, 1000000};

	atomic_store(&cut->state, CUT_PAUSED);
	while (atomic_load(&cut->state) != CUT_GO)
		(void)syscall(SYS_nanosleep, &ts, NULL);
}

/* Counts a call of these kinds; what is to be done with it. */
static enum cut_action
count(const char *what, unsigned kinds)
{
	unsigned n;

	if (cut == NULL || (cut->scope & kinds) == 0)
		return CUT_NOTHING;
	n = atomic_fetch_add(&cut->calls, 1) + 1;
	if (cut->at == 0 || n < cut->at)
		return CUT_NOTHING;
	if (n > cut->at) /* a disk that is full stays full */
		return cut->action == CUT_FULL ? CUT_FULL : CUT_NOTHING;
	(void)snprintf(cut->what, sizeof(cut->what), "%s", what);
	atomic_store(&cut->hit, 1);
	if (cut->action == CUT_KILL)
		die();
	if (cut->action == CUT_PAUSE)
		wait_for_test();
	return cut->action;
}

static int
is_below(const char *path)
{
	size_t n = strlen(cut->root);

	return strncmp(path, cut->root, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

/* The path of fd, below root; 0 when it is none of ours. */
static int
ours(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t n;

	if (cut == NULL)
		return 0;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX - 1);
	if (n <= 0)
		return 0;
	path[n] = '\0';
	return is_below(path);
}

static int
ours_path(const char *path)
{
	return cut != NULL && is_below(path);
}

/* Fails the call: -1 with errno set. The tear of what cannot tear kills. */
static int
spoil(enum cut_action a)
{
	if (a == CUT_TEAR)
		die();
	errno = a == CUT_FULL ? ENOSPC : EIO;
	return -1;
}

static int
is_spoilt(enum cut_action a)
{
	return a == CUT_TEAR || a == CUT_FULL || a == CUT_FAIL;
}

static void
hold_path(char out[PATH_MAX], const struct stat *st, const char *suffix)
{
	(void)snprintf(out, PATH_MAX, "%s/%llu%s", cut->hold,
		       (unsigned long long)st->st_ino, suffix);
}

/* A file's number is kept from being given again. */
static void
hold_file(const char *path)
{
	char held[PATH_MAX];
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	hold_path(held, &st, "");
	(void)syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, held, 0);
}

/* --- what a sync makes durable -------------------------------------------- */

static void
write_names(const char *path, int out)
{
	struct dirent *ent;
	struct stat st;
	DIR *dir = opendir(path);

	while (dir != NULL && (ent = readdir(dir)) != NULL) {
		if (strcmp(ent->d_name, ".") == 0 ||
		    strcmp(ent->d_name, "..") == 0 ||
		    fstatat(dirfd(dir), ent->d_name, &st,
			    AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		(void)dprintf(out, "%llu %c %s\n",
			      (unsigned long long)st.st_ino,
			      S_ISDIR(st.st_mode) ? 'd' : 'f', ent->d_name);
	}
	if (dir != NULL)
		(void)closedir(dir);
}

static void
write_octets(int fd, int out)
{
	char part[8192], link[64];
	ssize_t n;
	int in;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	in = raw_open(link, O_RDONLY | O_CLOEXEC, 0);
	while (in >= 0 && (n = syscall(SYS_read, in, part, sizeof(part))) > 0)
		(void)syscall(SYS_write, out, part, n);
	if (in >= 0)
		raw_close(in);
}

static int
write_to_hold(int fd, const char *path)
{
	char to[PATH_MAX], draft[PATH_MAX];
	struct stat st;
	int out;

	if (fstat(fd, &st) != 0)
		return -1;
	hold_path(to, &st, S_ISDIR(st.st_mode) ? ".names" : ".synced");
	hold_path(draft, &st, ".draft");
	out = raw_open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0)
		return -1;
	if (S_ISDIR(st.st_mode))
		write_names(path, out);
	else
		write_octets(fd, out);
	raw_close(out);
	return (int)syscall(SYS_renameat2, AT_FDCWD, draft, AT_FDCWD, to, 0);
}

/* One at a time: what an older look has seen may not take a newer's place. */
static int
sync_to_hold(int fd, const char *path)
{
	int rc;

	if (cut->lie[0] != '\0' && strstr(path, cut->lie) != NULL)
		return 0;
	(void)pthread_mutex_lock(&hold_lock);
	rc = write_to_hold(fd, path);
	(void)pthread_mutex_unlock(&hold_lock);
	return rc;
}

static int
sync_call(int fd, const char *what, long real)
{
	char path[PATH_MAX];
	enum cut_action a;

	if (!ours(fd, path))
		return (int)syscall(real, fd);
	a = count(what, CUT_FILE);
	if (is_spoilt(a) && a != CUT_FULL)
		return spoil(a);
	return sync_to_hold(fd, path);
}

int
fsync(int fd)
{
	return sync_call(fd, "fsync", SYS_fsync);
}

int
fdatasync(int fd)
{
	return sync_call(fd, "fdatasync", SYS_fdatasync);
}

/* --- files and folders ---------------------------------------------------- */

static int
do_open(const char *path, int flags, mode_t mode)
{
	enum cut_action a = CUT_NOTHING;
	int fd;

	if (!ours_path(path) || (flags & (O_CREAT | O_TRUNC)) == 0)
		return raw_open(path, flags, mode);
	a = count("open", CUT_FILE | CUT_SPACE);
	if (is_spoilt(a))
		return spoil(a);
	(void)pthread_mutex_lock(&hold_lock);
	fd = raw_open(path, flags, mode);
	if (fd >= 0)
		hold_file(path);
	(void)pthread_mutex_unlock(&hold_lock);
	return fd;
}

#define OPEN_MODE(flags, mode)                       \
	do {                                         \
		va_list ap;                          \
		va_start(ap, flags);                 \
		if (((flags) & (O_CREAT | O_TMPFILE)) != 0) \
			(mode) = va_arg(ap, mode_t); \
		va_end(ap);                          \
	} while (0)

int
open(const char *path, int flags, ...)
{
	mode_t mode = 0;

	OPEN_MODE(flags, mode);
	return do_open(path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
	mode_t mode = 0;

	OPEN_MODE(flags, mode);
	return do_open(path, flags, mode);
}

int
mkostemp(char *template, int flags)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyz012345";
	unsigned char r[6];
	char *x = template + strlen(template) - sizeof(r);
	size_t i;

	if (syscall(SYS_getrandom, r, sizeof(r), 0) != (long)sizeof(r))
		return -1;
	for (i = 0; i < sizeof(r); i++)
		x[i] = set[r[i] % 32];
	return do_open(template, flags | O_RDWR | O_CREAT | O_EXCL, 0600);
}

int
mkdir(const char *path, mode_t mode)
{
	enum cut_action a = CUT_NOTHING;

	if (ours_path(path))
		a = count("mkdir", CUT_FILE | CUT_SPACE);
	if (is_spoilt(a))
		return spoil(a);
	return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int
rename(const char *from, const char *to)
{
	enum cut_action a = CUT_NOTHING;

	if (ours_path(to))
		a = count("rename", CUT_FILE | CUT_SPACE);
	if (is_spoilt(a))
		return spoil(a);
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int
link(const char *from, const char *to)
{
	enum cut_action a = CUT_NOTHING;

	if (ours_path(to))
		a = count("link", CUT_FILE | CUT_SPACE);
	if (is_spoilt(a))
		return spoil(a);
	return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int
unlink(const char *path)
{
	enum cut_action a = CUT_NOTHING;

	if (ours_path(path))
		a = count("unlink", CUT_FILE);
	if (is_spoilt(a) && a != CUT_FULL)
		return spoil(a);
	return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int
unlinkat(int fd, const char *path, int flags)
{
	char dir[PATH_MAX];
	enum cut_action a = CUT_NOTHING;

	if (ours(fd, dir))
		a = count("unlinkat", CUT_FILE);
	if (is_spoilt(a) && a != CUT_FULL)
		return spoil(a);
	return (int)syscall(SYS_unlinkat, fd, path, flags);
}

int
ftruncate(int fd, off_t len)
{
	char path[PATH_MAX];
	enum cut_action a = CUT_NOTHING;

	if (ours(fd, path))
		a = count("ftruncate", CUT_FILE);
	if (is_spoilt(a) && a != CUT_FULL)
		return spoil(a);
	return (int)syscall(SYS_ftruncate, fd, len);
}

int
close(int fd)
{
	char path[PATH_MAX];

	if (ours(fd, path))
		(void)count("close", CUT_FILE);
	return (int)syscall(SYS_close, fd);
}

/* --- writes --------------------------------------------------------------- */

/* The first octets of a write get through, then the disk is full, or gone. */
static ssize_t
write_some(int fd, const void *p, size_t len, enum cut_action a)
{
	size_t part = cut->octets < len ? cut->octets : len - (len > 0);
	ssize_t n;

	if (a == CUT_FULL && atomic_exchange(&cut->hit, 2) == 2)
		part = 0;
	n = part == 0 ? 0 : syscall(SYS_write, fd, p, part);
	if (a == CUT_TEAR || n <= 0)
		return spoil(a);
	return n;
}

ssize_t
write(int fd, const void *p, size_t len)
{
	char path[PATH_MAX];
	enum cut_action a = CUT_NOTHING;

	if (ours(fd, path))
		a = count("write", CUT_FILE | CUT_SPACE);
	if (a == CUT_TEAR || a == CUT_FULL)
		return write_some(fd, p, len, a);
	if (is_spoilt(a))
		return spoil(a);
	return syscall(SYS_write, fd, p, len);
}

ssize_t
pwrite(int fd, const void *p, size_t len, off_t at)
{
	char path[PATH_MAX];
	enum cut_action a = CUT_NOTHING;

	if (ours(fd, path))
		a = count("pwrite", CUT_FILE | CUT_SPACE);
	if (is_spoilt(a))
		return spoil(a);
	return syscall(SYS_pwrite64, fd, p, len, at);
}

/* --- the network ---------------------------------------------------------- */

ssize_t
send(int fd, const void *p, size_t len, int flags)
{
	ssize_t n;

	(void)count("before a send", CUT_SOCKET);
	n = syscall(SYS_sendto, fd, p, len, flags, NULL, 0);
	(void)count("after a send", CUT_SOCKET);
	return n;
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	ssize_t n;

	(void)count("before a send", CUT_SOCKET);
	n = syscall(SYS_sendmsg, fd, m, flags);
	(void)count("after a send", CUT_SOCKET);
	return n;
}

ssize_t
recv(int fd, void *p, size_t len, int flags)
{
	(void)count("before a receive", CUT_SOCKET);
	return syscall(SYS_recvfrom, fd, p, len, flags, NULL, NULL);
}

/* --- the clock ------------------------------------------------------------ */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	if (rc == 0 && cut != NULL && id == CLOCK_REALTIME)
		ts->tv_sec += cut->clock_s;
	return rc;
}

time_t
time(time_t *out)
{
	struct timespec ts = {0, 0};

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (out != NULL)
		*out = ts.tv_sec;
	return ts.tv_sec;
}
