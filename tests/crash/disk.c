#include "tests/unit/unit.h"
#include "tests/crash/disk.h"

#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "tests/helpers/pg_fixture.h"

#define NAMES_MAX 64
#define FILE_MAX (1 << 20)

struct name {
	unsigned long long ino;
	char kind; /* f or d */
	char name[256];
};
struct names {
	struct name all[NAMES_MAX];
	size_t n;
};

uint64_t
chance(uint64_t *seed, uint64_t n)
{
	uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % n;
}

static void
join(char out[PATH_MAX], const char *dir, const char *name)
{
	assert_true(snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX);
}

static void
held(const struct disk *d, unsigned long long ino, const char *suffix,
    char out[PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%s/%llu%s", d->hold, ino, suffix);
}

/* The octets of a file, at most FILE_MAX; 0 when it is not there. */
static size_t
load(const char *path, char *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	while ((n = read(fd, out + len, FILE_MAX - len)) > 0)
		len += (size_t)n;
	assert_int_equal(n, 0);
	(void)close(fd);
	return len;
}

static void
save(const char *path, mode_t mode, const char *p, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static void
add_name(struct names *to, const struct name *x)
{
	assert_true(to->n < NAMES_MAX);
	to->all[to->n++] = *x;
}

/* The entries that are there now. */
static void
names_now(const char *path, struct names *out)
{
	struct name x;
	struct dirent *ent;
	struct stat st;
	DIR *dir = opendir(path);

	out->n = 0;
	while (dir != NULL && (ent = readdir(dir)) != NULL) {
		if (strcmp(ent->d_name, ".") == 0 ||
		    strcmp(ent->d_name, "..") == 0)
			continue;
		assert_int_equal(fstatat(dirfd(dir), ent->d_name, &st, 0), 0);
		x.ino = st.st_ino;
		x.kind = S_ISDIR(st.st_mode) ? 'd' : 'f';
		(void)snprintf(x.name, sizeof(x.name), "%s", ent->d_name);
		add_name(out, &x);
	}
	if (dir != NULL)
		(void)closedir(dir);
}

/* Those that were there at the folder's last sync. */
static void
names_synced(const struct disk *d, unsigned long long ino, struct names *out)
{
	char path[PATH_MAX], line[400];
	struct name x;
	FILE *f;

	held(d, ino, ".names", path);
	f = fopen(path, "re");
	out->n = 0;
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		assert_int_equal(sscanf(line, "%llu %c %255s", &x.ino, &x.kind,
		    x.name), 3);
		add_name(out, &x);
	}
	if (f != NULL)
		(void)fclose(f);
}

static const struct name *
find_name(const struct names *in, const char *name)
{
	size_t i;

	for (i = 0; i < in->n; i++)
		if (strcmp(in->all[i].name, name) == 0)
			return &in->all[i];
	return NULL;
}

/* What the next boot finds of a file that was written after its last sync. */
static size_t
mix(char *is, size_t is_len, const char *was, size_t was_len, uint64_t *seed)
{
	size_t more = is_len > was_len ? is_len - was_len : 0;

	switch (chance(seed, 4)) {
	case 0:
		return is_len;
	case 1: /* room was given, the octets never came */
		memset(is + was_len, 0, more);
		break;
	case 2:
		is_len = was_len + (more == 0 ? 0 : chance(seed, more));
		break;
	default:
		is_len = was_len;
		break;
	}
	memcpy(is, was, was_len < is_len ? was_len : is_len);
	return is_len;
}

static void
cut_file(const struct disk *d, unsigned long long ino, const char *to,
    enum power how, uint64_t *seed)
{
	static char is[FILE_MAX], was[FILE_MAX];
	size_t is_len, was_len;
	char path[PATH_MAX];
	struct stat st;

	held(d, ino, "", path);
	assert_int_equal(stat(path, &st), 0);
	is_len = load(path, is);
	held(d, ino, ".synced", path);
	was_len = load(path, was);
	if (how == POWER_DROPS) {
		memcpy(is, was, was_len);
		is_len = was_len;
	} else if (how == POWER_CHANCES) {
		is_len = mix(is, is_len, was, was_len, seed);
	}
	save(to, st.st_mode & 07777, is, is_len);
}

/* Of a name there are two opinions; NULL: that it is not there. */
static const struct name *
choose(const struct name *is, const struct name *was, enum power how,
    uint64_t *seed)
{
	if (how == POWER_STAYS)
		return is;
	if (how == POWER_DROPS)
		return was;
	return chance(seed, 2) == 0 ? is : was;
}

/* One that was killed before it was held: made, and nothing in it. */
static void
hold_new(const struct disk *d, const char *from, const struct names *is)
{
	char a[PATH_MAX], b[PATH_MAX];
	size_t i;

	for (i = 0; i < is->n; i++) {
		if (is->all[i].kind != 'f')
			continue;
		join(a, from, is->all[i].name);
		held(d, is->all[i].ino, "", b);
		if (link(a, b) != 0)
			assert_int_equal(errno, EEXIST);
	}
}

/* Folder ino, which is at from now (or not there), as to. */
static void
cut_folder(const struct disk *d, unsigned long long ino, const char *from,
    const char *to, enum power how, uint64_t *seed)
{
	struct names *is = test_calloc(1, sizeof(*is));
	struct names *was = test_calloc(1, sizeof(*was));
	struct names *all = test_calloc(1, sizeof(*all));
	char a[PATH_MAX], b[PATH_MAX];
	const struct name *x;
	size_t i;

	assert_int_equal(mkdir(to, 0700), 0);
	names_now(from, is);
	hold_new(d, from, is);
	names_synced(d, ino, was);
	*all = *was;
	for (i = 0; i < is->n; i++)
		if (find_name(was, is->all[i].name) == NULL)
			add_name(all, &is->all[i]);
	for (i = 0; i < all->n; i++) {
		x = choose(find_name(is, all->all[i].name),
		    find_name(was, all->all[i].name), how, seed);
		if (x == NULL)
			continue;
		join(a, from, x->name);
		join(b, to, x->name);
		if (x->kind == 'd')
			cut_folder(d, x->ino, a, b, how, seed);
		else
			cut_file(d, x->ino, b, how, seed);
	}
	test_free(is);
	test_free(was);
	test_free(all);
}

static void
settle_folder(const struct disk *d, const char *path)
{
	static char octets[FILE_MAX];
	struct names *is = test_calloc(1, sizeof(*is));
	char a[PATH_MAX], b[PATH_MAX], text[NAMES_MAX * 300] = "";
	struct stat st;
	size_t i, len = 0;

	names_now(path, is);
	for (i = 0; i < is->n; i++) {
		const struct name *x = &is->all[i];

		join(a, path, x->name);
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "%llu %c %s\n", x->ino, x->kind, x->name);
		if (x->kind == 'd') {
			settle_folder(d, a);
			continue;
		}
		held(d, x->ino, "", b);
		assert_int_equal(link(a, b), 0);
		held(d, x->ino, ".synced", b);
		save(b, 0600, octets, load(a, octets));
	}
	assert_int_equal(stat(path, &st), 0);
	held(d, st.st_ino, ".names", b);
	save(b, 0600, text, len);
	test_free(is);
}

void
disk_settle(const struct disk *d)
{
	(void)remove_tree(d->hold);
	assert_int_equal(mkdir(d->hold, 0700), 0);
	settle_folder(d, d->root);
}

void
disk_open(struct disk *d, const char *dir, const char *name)
{
	char real[PATH_MAX];

	assert_non_null(realpath(dir, real));
	assert_true(snprintf(d->root, sizeof(d->root), "%s/%s", real, name) <
	    (int)sizeof(d->root) - 8);
	(void)snprintf(d->hold, sizeof(d->hold), "%.500s.hold", d->root);
	assert_int_equal(mkdir(d->root, 0700), 0);
	disk_settle(d);
}

void
disk_cut(const struct disk *d, enum power how, uint64_t *seed)
{
	char boot[PATH_MAX];
	struct stat st;

	assert_int_equal(stat(d->root, &st), 0);
	(void)snprintf(boot, sizeof(boot), "%s.boot", d->root);
	cut_folder(d, st.st_ino, d->root, boot, how, seed);
	(void)remove_tree(d->root);
	assert_int_equal(rename(boot, d->root), 0);
	disk_settle(d);
}

void
disk_close(struct disk *d)
{
	if (d->root[0] == '\0')
		return;
	(void)remove_tree(d->root);
	(void)remove_tree(d->hold);
	d->root[0] = '\0';
}
