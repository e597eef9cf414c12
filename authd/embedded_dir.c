/* The directory of a private PostgreSQL: user, layout, cluster, access. */
#include "authd/embedded_impl.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/file.h"
#include "lib/base/parse.h"

#define SOCKET_PREFIX "/tmp/fealty-"
#define INITDB_MS 120000

/* A path in dir; 0 when it is too long. */
static int
join(char out[EM_PATH], const char *dir, const char *name)
{
	int n = snprintf(out, EM_PATH, "%s/%s", dir, name);

	return n > 0 && n < EM_PATH;
}

static const struct passwd *
choose_user(const char *user)
{
	const struct passwd *pw;

	if (user != NULL)
		return getpwnam(user);
	if (geteuid() != 0)
		return getpwuid(geteuid());
	pw = getpwnam("fealty");
	return pw != NULL ? pw : getpwnam("postgres");
}

enum err
em_user(struct embedded *em, const char *user, struct detail *d)
{
	const struct passwd *pw = choose_user(user);

	if (pw == NULL) {
		detail_set(d, "no user to run PostgreSQL as: make user "
		    "fealty, or name one");
		return ERR_CONFIG;
	}
	if (pw->pw_uid == 0) {
		detail_set(d, "PostgreSQL does not run as root");
		return ERR_CONFIG;
	}
	if (geteuid() != 0 && pw->pw_uid != geteuid()) {
		detail_set(d, "only root can run PostgreSQL as another user");
		return ERR_CONFIG;
	}
	em->drop = geteuid() == 0;
	em->uid = pw->pw_uid;
	em->gid = pw->pw_gid;
	/* Now: a child forked beside other threads must not look it up. */
	em->ngroups = EM_GROUPS;
	if (getgrouplist(pw->pw_name, pw->pw_gid, em->groups,
	    &em->ngroups) < 0) {
		detail_set(d, "user %s is in too many groups", pw->pw_name);
		return ERR_CONFIG;
	}
	if (copy_str(em->user, sizeof(em->user), pw->pw_name) != ERR_OK)
		return ERR_CONFIG;
	return ERR_OK;
}

static int
has_binaries(const char *dir)
{
	char path[EM_PATH];

	return join(path, dir, "initdb") && access(path, X_OK) == 0 &&
	    join(path, dir, "postgres") && access(path, X_OK) == 0;
}

/* Debian: /usr/lib/postgresql/VERSION/bin, the highest version. */
static int
find_debian(char out[EM_PATH])
{
	struct dirent **names = NULL;
	char path[EM_PATH];
	int i, n, found = 0;

	n = scandir("/usr/lib/postgresql", &names, NULL, versionsort);
	for (i = n - 1; i >= 0; i--) {
		(void)snprintf(path, sizeof(path),
		    "/usr/lib/postgresql/%s/bin", names[i]->d_name);
		if (!found && names[i]->d_name[0] != '.' &&
		    has_binaries(path)) {
			memcpy(out, path, EM_PATH);
			found = 1;
		}
		free(names[i]);
	}
	free(names);
	return found;
}

enum err
em_binaries(struct embedded *em, const char *bin_dir, struct detail *d)
{
	static const char *const usual[] = {
	    "/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"};
	size_t i;

	if (bin_dir != NULL) {
		if (has_binaries(bin_dir))
			return copy_str(em->bin, sizeof(em->bin), bin_dir);
		detail_set(d, "no initdb and postgres in %s", bin_dir);
		return ERR_CONFIG;
	}
	if (find_debian(em->bin))
		return ERR_OK;
	for (i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (has_binaries(usual[i]))
			return copy_str(em->bin, sizeof(em->bin), usual[i]);
	detail_set(d, "PostgreSQL is not installed: initdb and postgres not "
	    "found");
	return ERR_CONFIG;
}

static enum err
take_lock(struct embedded *em, struct detail *d)
{
	em->lock_fd = openat(em->run_fd, "lock",
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (em->lock_fd < 0) {
		detail_set(d, "cannot make the lock in %.100s/run", em->dir);
		return ERR_IO;
	}
	if (flock(em->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		detail_set(d, "another authd uses %.150s", em->dir);
		return ERR_BUSY;
	}
	return ERR_OK;
}

enum err
em_layout(struct embedded *em, const char *dir, struct detail *d)
{
	char path[EM_PATH];

	if (dir_make(dir, 0700) != ERR_OK || realpath(dir, em->dir) == NULL) {
		detail_set(d, "cannot make %.150s", dir);
		return ERR_IO;
	}
	if (!join(em->keys, em->dir, "keys") ||
	    !join(path, em->dir, "run")) {
		detail_set(d, "the path of the directory is too long");
		return ERR_CONFIG;
	}
	if (dir_make(em->keys, 0700) != ERR_OK ||
	    dir_make(path, 0700) != ERR_OK) {
		detail_set(d, "cannot make %.100s/keys and run", em->dir);
		return ERR_IO;
	}
	em->run_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
	    O_NOFOLLOW);
	if (em->run_fd < 0) {
		detail_set(d, "cannot open %.150s", path);
		return ERR_IO;
	}
	return take_lock(em, d);
}

/* Opens the directory name; -1. */
static int
open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/*
 * How the server names its data directory: by its path, or, where a parent
 * is closed to its user, through a descriptor that it inherits. PostgreSQL
 * wants an absolute path and keeps using it, so "." would not do.
 */
static void
name_data(struct embedded *em, const char *path)
{
	if (strlen(path) < sizeof(em->data) && em_reachable(em, path))
		(void)snprintf(em->data, sizeof(em->data), "%s", path);
	else
		(void)snprintf(em->data, sizeof(em->data),
		    "/proc/self/fd/%d", EM_KEEP_FD);
}

static enum err
initdb(struct embedded *em, int fd, struct detail *d)
{
	char exe[EM_PATH], data[80];
	char *argv[] = {exe, data, (char[]){"--username=" EM_SUPERUSER},
	    (char[]){"--auth=peer"}, (char[]){"--encoding=UTF8"},
	    (char[]){"--locale=C.UTF-8"}, (char[]){"--data-checksums"}, NULL};

	if (!join(exe, em->bin, "initdb"))
		return ERR_CONFIG;
	(void)snprintf(data, sizeof(data), "--pgdata=%s", em->data);
	if (em_run(em, argv, fd, INITDB_MS) != ERR_OK) {
		detail_set(d, "initdb failed: see %.130s/run/postgres.log",
		    em->dir);
		return ERR_IO;
	}
	return ERR_OK;
}

/* Made beside and renamed: db/ is a whole cluster or not there. */
static enum err
make_cluster(struct embedded *em, const char *db, struct detail *d)
{
	char fresh[EM_PATH];
	char *rm[] = {(char[]){"/bin/rm"}, (char[]){"-rf"}, (char[]){"--"},
	    fresh, NULL};
	enum err e = ERR_IO;
	int fd = -1;

	if (!join(fresh, em->dir, "db.new"))
		return ERR_CONFIG;
	/* What a start that was cut short left: no cluster yet. */
	if (access(fresh, F_OK) == 0 && em_run(NULL, rm, -1, 60000) != ERR_OK)
		goto out;
	if (mkdir(fresh, 0700) != 0)
		goto out;
	fd = open_dir(fresh);
	if (fd < 0 || (em->drop && fchown(fd, em->uid, em->gid) != 0))
		goto out;
	name_data(em, fresh);
	e = initdb(em, fd, d);
	if (e != ERR_OK)
		goto out;
	e = rename(fresh, db) == 0 ? ERR_OK : ERR_IO;
	if (e == ERR_OK)
		sync();
out:
	if (fd >= 0)
		(void)close(fd);
	if (e != ERR_OK)
		detail_set(d, "cannot make the cluster in %.130s", em->dir);
	return e;
}

enum err
em_cluster(struct embedded *em, struct detail *d)
{
	char db[EM_PATH];
	struct stat sb;
	enum err e;

	if (!join(db, em->dir, "db"))
		return ERR_CONFIG;
	if (lstat(db, &sb) != 0) {
		e = errno == ENOENT ? make_cluster(em, db, d) : ERR_IO;
		if (e != ERR_OK)
			return e;
	}
	em->db_fd = open_dir(db);
	if (em->db_fd < 0 || fstat(em->db_fd, &sb) != 0) {
		detail_set(d, "cannot open %.150s", db);
		return ERR_IO;
	}
	if (sb.st_uid != em->uid) {
		detail_set(d, "%.120s is not of user %s", db, em->user);
		return ERR_CONFIG;
	}
	name_data(em, db);
	return ERR_OK;
}

static enum err
put_file(struct embedded *em, const char *name, const char *text)
{
	size_t len = strlen(text);
	int fd, ok;

	/* The folder is the database user's: follow no link of its. */
	fd = openat(em->db_fd, name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return ERR_IO;
	ok = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0 &&
	    fchmod(fd, 0600) == 0 &&
	    (!em->drop || fchown(fd, em->uid, em->gid) == 0);
	return close(fd) == 0 && ok ? ERR_OK : ERR_IO;
}

enum err
em_access(struct embedded *em, struct detail *d)
{
	const struct passwd *pw = getpwuid(geteuid());
	char ident[512];
	int n;

	if (pw == NULL) {
		detail_set(d, "the user of this process has no name");
		return ERR_CONFIG;
	}
	n = snprintf(ident, sizeof(ident),
	    "fealty \"%s\" fealty_app\nfealty \"%s\" fealty_owner\n"
	    "fealty \"%s\" " EM_SUPERUSER "\n", pw->pw_name, pw->pw_name,
	    pw->pw_name);
	if (n < 0 || (size_t)n >= sizeof(ident) ||
	    strpbrk(pw->pw_name, "\"\n") != NULL)
		return ERR_CONFIG;
	if (put_file(em, "pg_hba.conf", "local all all peer map=fealty\n") !=
	    ERR_OK || put_file(em, "pg_ident.conf", ident) != ERR_OK) {
		detail_set(d, "cannot write access rules in %.130s/db",
		    em->dir);
		return ERR_IO;
	}
	return ERR_OK;
}

/* Removes a socket folder of ours: its known files, then itself. */
static void
remove_socket_dir(const struct embedded *em, const char *path)
{
	static const char *const files[] = {
	    ".s.PGSQL.5432", ".s.PGSQL.5432.lock"};
	struct stat sb;
	size_t i;
	int fd;

	if (strncmp(path, SOCKET_PREFIX, strlen(SOCKET_PREFIX)) != 0 ||
	    strchr(path + strlen(SOCKET_PREFIX), '/') != NULL)
		return;
	fd = open_dir(path);
	if (fd < 0)
		return;
	if (fstat(fd, &sb) == 0 && sb.st_uid == em->uid) {
		for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
			(void)unlinkat(fd, files[i], 0);
		(void)rmdir(path);
	}
	(void)close(fd);
}

static void
remove_old(struct embedded *em)
{
	struct buf b = {.max = 256};
	char path[EM_PATH];

	if (join(path, em->dir, "run/socket-dir") &&
	    file_read(path, 256, &b) == ERR_OK) {
		b.p[strcspn(b.p, "\n")] = '\0';
		remove_socket_dir(em, b.p);
	}
	buf_free(&b);
}

/* Short, whatever the length of DIR: a socket's path ends at 107 octets. */
enum err
em_socket_dir(struct embedded *em, struct detail *d)
{
	char path[EM_PATH], line[80];
	enum err e = ERR_IO;

	remove_old(em);
	(void)snprintf(em->socket_dir, sizeof(em->socket_dir),
	    SOCKET_PREFIX "XXXXXX");
	if (mkdtemp(em->socket_dir) == NULL) {
		em->socket_dir[0] = '\0';
		goto out;
	}
	if (em->drop && lchown(em->socket_dir, em->uid, em->gid) != 0)
		goto out;
	(void)snprintf(line, sizeof(line), "%s\n", em->socket_dir);
	if (!join(path, em->dir, "run/socket-dir"))
		goto out;
	e = file_write_atomic(path, 0600, line, strlen(line));
out:
	if (e != ERR_OK)
		detail_set(d, "cannot make a folder for the socket");
	return e;
}

void
em_socket_remove(struct embedded *em)
{
	/* Without one of ours, the file is that of whoever has the lock. */
	if (em->socket_dir[0] == '\0')
		return;
	remove_socket_dir(em, em->socket_dir);
	if (em->run_fd >= 0)
		(void)unlinkat(em->run_fd, "socket-dir", 0);
	em->socket_dir[0] = '\0';
}
