#include "tests/helpers/leak.h"

#include <sys/stat.h>
#include <ctype.h>
#include <dirent.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#include <fealty/device_openssl.h>

#include "tests/unit/unit.h"
#include "lib/base/b64url.h"
#include "lib/base/parse.h"
#include "tests/helpers/process.h"

#define NEEDLES_MAX 8000
#define FILE_MAX ((size_t)128 << 20)
#define SEEN_MAX 16384

struct needle {
	unsigned char octets[72];
	size_t len;
	char what[64];
	int next; /* of those that begin alike, -1: none */
};

static struct leak {
	struct needle all[NEEDLES_MAX];
	int n;
	int begins[65536]; /* by the first two octets: the first, plus 1 */
} sets[LEAK_SETS];

/* --- what to look for ---------------------------------------------------- */

static void
needle(enum leak_set set, const void *p, size_t len, const char *what,
    const char *how)
{
	struct leak *l = &sets[set];
	struct needle *n = &l->all[l->n];
	int *begin;

	assert_true(l->n < NEEDLES_MAX && len <= sizeof(n->octets));
	memcpy(n->octets, p, len);
	n->len = len;
	(void)snprintf(n->what, sizeof(n->what), "%.30s as %.16s", what, how);
	begin = &l->begins[n->octets[0] << 8 | n->octets[1]];
	n->next = *begin - 1;
	*begin = ++l->n;
}

/*
 * Base64 of 32 octets that stand anywhere in a longer text: the characters
 * that depend on these octets alone, for each of three alignments.
 */
static void
base64_needles(enum leak_set set, const unsigned char key[32],
    const char *what)
{
	unsigned char padded[2 + 32] = {0};
	char text[64];
	size_t shift, i, from, to;

	for (shift = 0; shift < 3; shift++) {
		memcpy(padded + shift, key, 32);
		b64url_encode(padded, shift + 32, text);
		from = (shift * 8 + 5) / 6;
		to = (shift + 32) * 8 / 6;
		needle(set, text + from, to - from, what, "base64url");
		for (i = from; i < to; i++)
			text[i] = text[i] == '-' ? '+' :
			    text[i] == '_' ? '/' : text[i];
		needle(set, text + from, to - from, what, "base64");
	}
}

void
leak_key(enum leak_set set, const unsigned char key[32], const char *what)
{
	char text[65];
	size_t i;

	needle(set, key, 32, what, "octets");
	hex_encode(key, 32, text);
	needle(set, text, 64, what, "hex");
	for (i = 0; i < 64; i++)
		text[i] = (char)toupper((unsigned char)text[i]);
	needle(set, text, 64, what, "HEX");
	base64_needles(set, key, what);
}

static void
derived_keys(const struct fealty_record *r)
{
	static const struct {
		const char *purpose, *context;
	} all[] = {{"assertion", ""}, {"proof", ""}, {"payload", "service"},
	    {"payload", "hub"}};
	unsigned char key[32];
	size_t i;
	int tls;

	for (i = 0; i < COUNT(all); i++) {
		assert_int_equal(fealty_derive(&fealty_device_port_openssl,
		    r, all[i].purpose, all[i].context,
		    strlen(all[i].context), key), FEALTY_OK);
		leak_key(LEAK_REAL, key, all[i].purpose);
	}
	for (i = 0; i < r->npeers; i++) {
		for (tls = FEALTY_TLS13; tls <= FEALTY_DTLS13; tls++) {
			assert_int_equal(fealty_psk(
			    &fealty_device_port_openssl, r, &r->peers[i],
			    (enum fealty_tls)tls, key), FEALTY_OK);
			leak_key(LEAK_REAL, key, "psk");
		}
	}
}

void
leak_record(const void *octets, size_t len)
{
	struct fealty_record r;

	assert_int_equal(fealty_record_read(octets, len, &r), FEALTY_OK);
	assert_true(r.npeers > 0);
	leak_key(LEAK_REAL, r.key, "K");
	derived_keys(&r);
}

/* --- looking ------------------------------------------------------------- */

/* The needle that stands at p, len octets before the end, or NULL. */
static const struct needle *
needle_at(const struct leak *l, const unsigned char *p, size_t len)
{
	const struct needle *n;
	int i;

	for (i = l->begins[p[0] << 8 | p[1]] - 1; i >= 0; i = n->next) {
		n = &l->all[i];
		if (n->len <= len && memcmp(p, n->octets, n->len) == 0)
			return n;
	}
	return NULL;
}

const char *
leak_find(enum leak_set set, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	const struct leak *l = &sets[set];
	const struct needle *n = NULL;
	size_t i;

	assert_true(l->n > 0);
	for (i = 0; i + 1 < len && n == NULL; i++)
		if (l->begins[p[i] << 8 | p[i + 1]] > 0)
			n = needle_at(l, p + i, len - i);
	return n == NULL ? NULL : n->what;
}

/* All of a file; its length, 0 when it cannot be read. */
static size_t
slurp(const char *path, char **out)
{
	struct stat sb;
	size_t size = 1 << 18;
	ssize_t n;
	char *buf;

	if (stat(path, &sb) == 0 && S_ISREG(sb.st_mode))
		size += (size_t)sb.st_size;
	assert_true(size < FILE_MAX);
	buf = malloc(size);
	assert_non_null(buf);
	n = file_text(path, buf, size);
	*out = buf;
	return n > 0 ? (size_t)n : 0;
}

const char *
leak_in_file(enum leak_set set, const char *path)
{
	const char *what;
	char *text;
	size_t n = slurp(path, &text);

	what = leak_find(set, text, n);
	free(text);
	return what;
}

static struct {
	enum leak_set set;
	int (*passes_by)(const char *path);
	size_t files;
	const char *found;
} walk;

static int
visit(const char *path, const struct stat *sb, int type, struct FTW *f)
{
	const char *what;

	(void)f;
	if (type != FTW_F || !S_ISREG(sb->st_mode) ||
	    (walk.passes_by != NULL && walk.passes_by(path)))
		return 0;
	walk.files++;
	what = leak_in_file(walk.set, path);
	if (what != NULL && walk.set == LEAK_REAL)
		fail_msg("%s in %s", what, path);
	if (what != NULL)
		walk.found = what;
	return 0;
}

size_t
leak_below(enum leak_set set, const char *dir,
    int (*passes_by)(const char *path), const char **found)
{
	walk.set = set;
	walk.passes_by = passes_by;
	walk.files = 0;
	walk.found = NULL;
	assert_int_equal(nftw(dir, visit, 16, FTW_PHYS), 0);
	if (found != NULL)
		*found = walk.found;
	return walk.files;
}

/* --- processes ----------------------------------------------------------- */

static struct {
	pthread_t thread;
	pthread_mutex_t lock; /* of what is below stop */
	atomic_int stop;
	uint64_t had[SEEN_MAX]; /* hashes of what was seen */
	size_t n, len, max;
	char *text;
} seen;

static int
is_new(const char *p, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ (unsigned char)p[i]) * UINT64_C(0x100000001b3);
	for (i = 0; i < seen.n; i++)
		if (seen.had[i] == h)
			return 0;
	if (seen.n < SEEN_MAX)
		seen.had[seen.n++] = h;
	return 1;
}

static void
add(const char *p, size_t n)
{
	if (!is_new(p, n))
		return;
	if (seen.len + n > seen.max) {
		seen.max = 2 * seen.max + n + 65536;
		seen.text = realloc(seen.text, seen.max);
		if (seen.text == NULL)
			abort();
	}
	memcpy(seen.text + seen.len, p, n);
	seen.len += n;
}

static void
keep(const char *pid, const char *name, char *room, size_t size)
{
	char path[300];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	n = file_text(path, room, size);
	if (n <= 0)
		return;
	(void)pthread_mutex_lock(&seen.lock);
	add(room, (size_t)n);
	(void)pthread_mutex_unlock(&seen.lock);
}

/* The parent of a process, and when it started. */
static long
parent_of(long pid, unsigned long long *start)
{
	char path[64], text[1024], *p;
	long parent = 0;

	*start = 0;
	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	if (file_text(path, text, sizeof(text)) > 0 &&
	    (p = strrchr(text, ')')) != NULL)
		(void)sscanf(p, ") %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u "
		    "%*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &parent,
		    start);
	return parent;
}

/* Descends from the test, or is an orphan since: more than ours, maybe. */
static int
is_ours(long pid)
{
	unsigned long long began, start;
	long parent;
	int i;

	(void)parent_of(getpid(), &began);
	for (i = 0; i < 16 && pid > 1; i++) {
		parent = parent_of(pid, &start);
		if (parent == (long)getpid())
			return 1;
		if (parent <= 1)
			return start >= began;
		pid = parent;
	}
	return 0;
}

/* All there is: authd, its database, the tools, and what they start. */
static void *
watch(void *room)
{
	const struct timespec moment = {0, 3000000};
	struct dirent *d;
	DIR *proc;

	while (!atomic_load(&seen.stop)) {
		proc = opendir("/proc");
		while (proc != NULL && (d = readdir(proc)) != NULL) {
			if (!is_ours(strtol(d->d_name, NULL, 10)))
				continue;
			keep(d->d_name, "cmdline", room, 1 << 18);
			keep(d->d_name, "environ", room, 1 << 18);
		}
		if (proc != NULL)
			(void)closedir(proc);
		(void)nanosleep(&moment, NULL);
	}
	free(room);
	return NULL;
}

void
leak_watch(void)
{
	void *room = malloc(1 << 18);

	assert_non_null(room);
	free(seen.text);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(pthread_mutex_init(&seen.lock, NULL), 0);
	assert_int_equal(pthread_create(&seen.thread, NULL, watch, room), 0);
}

int
leak_seen(const char *text)
{
	long deadline = process_deadline(60);
	int there = 0;

	while (!there && process_left(deadline)) {
		(void)pthread_mutex_lock(&seen.lock);
		there = seen.len > 0 && memmem(seen.text, seen.len, text,
		    strlen(text)) != NULL;
		(void)pthread_mutex_unlock(&seen.lock);
		if (!there)
			process_pause();
	}
	return there;
}

size_t
leak_watched(const char **text, size_t *len)
{
	atomic_store(&seen.stop, 1);
	assert_int_equal(pthread_join(seen.thread, NULL), 0);
	assert_true(seen.n < SEEN_MAX);
	*text = seen.text;
	*len = seen.len;
	return seen.n;
}
