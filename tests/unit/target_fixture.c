#include "tests/unit/target_fixture.h"

#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/wire/record.h"

static int fault_at, fault_ops;

ssize_t __real_write(int fd, const void *p, size_t len);
ssize_t __wrap_write(int fd, const void *p, size_t len);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

static int
fails(void)
{
	if (fault_at == 0 || ++fault_ops != fault_at)
		return 0;
	errno = ENOSPC;
	return 1;
}

ssize_t
__wrap_write(int fd, const void *p, size_t len)
{
	if (!fails())
		return __real_write(fd, p, len);
	(void)!__real_write(fd, p, len / 2);
	errno = ENOSPC;
	return -1;
}

int
__wrap_fsync(int fd)
{
	return fails() ? -1 : __real_fsync(fd);
}

int
__wrap_rename(const char *from, const char *to)
{
	return fails() ? -1 : __real_rename(from, to);
}

int
target_fault(int n)
{
	int came = fault_at > 0 && fault_ops >= fault_at;

	fault_at = n;
	fault_ops = 0;
	return came;
}

static enum err
make_record(const char *device_id, int octet, struct secret *out)
{
	struct record r;

	memset(&r, 0, sizeof(r));
	strcpy(r.issuer, "https://fealty.example");
	strcpy(r.device_id, device_id);
	r.epoch = 1;
	memset(r.key.b, octet, sizeof(r.key.b));
	strcpy(r.peers[0].audience, "authority");
	strcpy(r.peers[0].host, "fealty.example");
	r.peers[0].port = 8444;
	memset(r.peers[0].identity, 'A', PSKID_LEN);
	r.peers[1] = r.peers[0];
	strcpy(r.peers[1].audience, "edge.plant-1");
	strcpy(r.peers[1].host, "192.0.2.7");
	r.npeers = 2;
	return record_encode(&r, out);
}

int
target_setup(void **state)
{
	struct target_place *p = calloc(1, sizeof(*p));
	const char *tmp = getenv("FEALTY_TEST_DIR");

	if (p == NULL)
		return -1;
	(void)snprintf(p->root, sizeof(p->root), "%s/t.XXXXXX",
		       tmp == NULL || strlen(tmp) > 40 ? "/tmp" : tmp);
	if (mkdtemp(p->root) == NULL ||
	    make_record(ONE, KEY_OCTET, &p->one) != ERR_OK ||
	    make_record(TWO, 0x11, &p->two) != ERR_OK)
		return -1;
	(void)target_fault(0);
	*state = p;
	return 0;
}

static int
walk(const struct target_place *p, int delete)
{
	const struct dirent *ent;
	char path[512];
	int n = 0;
	DIR *all = opendir(p->root);

	while (all != NULL && (ent = readdir(all)) != NULL) {
		if (strcmp(ent->d_name, ".") == 0 ||
		    strcmp(ent->d_name, "..") == 0)
			continue;
		n++;
		(void)snprintf(path, sizeof(path), "%s/%s", p->root,
			       ent->d_name);
		if (delete)
			(void)unlink(path);
	}
	if (all != NULL)
		(void)closedir(all);
	return n;
}

int
target_files(const struct target_place *p)
{
	return walk(p, 0);
}

int
target_teardown(void **state)
{
	struct target_place *p = *state;

	(void)target_fault(0);
	(void)walk(p, 1);
	(void)rmdir(p->root);
	secret_free(&p->one);
	secret_free(&p->two);
	free(p);
	return 0;
}

static void
fill_spec(struct target_place *p, const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		assert_true(n + sizeof(p->root) + 1 < sizeof(p->spec));
		if (*text == '%') {
			memcpy(p->spec + n, p->root, strlen(p->root));
			n += strlen(p->root);
		} else {
			p->spec[n++] = *text;
		}
	}
	p->spec[n] = '\0';
}

struct target *
target_at(struct target_place *p, const char *text)
{
	struct target *t = NULL;
	struct detail d = {""};

	fill_spec(p, text);
	if (target_open(p->spec, &t, &d) != ERR_OK)
		fail_msg("%s: %s", p->spec, d.text);
	return t;
}

static void
file_at(const struct target_place *p, const char *name, char path[256])
{
	(void)snprintf(path, 256, "%s/%s", p->root, name);
}

void
target_put(const struct target_place *p, const char *name, const void *s,
	   size_t len)
{
	char path[256];

	file_at(p, name, path);
	assert_int_equal(file_write_atomic(path, 0600, s, len), ERR_OK);
}

void
target_get(const struct target_place *p, const char *name, struct buf *out)
{
	char path[256];

	file_at(p, name, path);
	buf_reset(out);
	assert_int_equal(file_read(path, 1 << 20, out), ERR_OK);
}

void
target_refused(struct target_place *p, const char *text, const char *why)
{
	struct target *t = NULL;
	struct detail d = {""};

	fill_spec(p, text);
	assert_case(target_open(p->spec, &t, &d) == ERR_REQUEST, text);
	assert_null(t);
	if (strstr(d.text, why) == NULL)
		fail_msg("%s: \"%s\" lacks \"%s\"", text, d.text, why);
}

static void
assert_holds(struct target *t, const struct secret *want)
{
	struct secret back = {0};
	struct detail d = {""};

	if (target_read(t, ONE, &back, &d) != ERR_OK)
		fail_msg("%s: %s", target_name(t), d.text);
	assert_int_equal(back.len, want->len);
	assert_memory_equal(back.p, want->p, want->len);
	secret_free(&back);
}

void
target_round(struct target_place *p, const char *text)
{
	struct target *t = target_at(p, text);
	struct detail d = {""};

	if (target_write(t, ONE, &p->one, &d) != ERR_OK)
		fail_msg("%s: %s", target_name(t), d.text);
	assert_holds(t, &p->one);
	target_close(&t);
}

void
target_not_lost(struct target_place *p, const char *text, const char *name)
{
	struct buf before = {.max = 1 << 20}, after = {.max = 1 << 20};
	struct target *t;
	struct detail d = {""};
	char path[256], replace[512];

	target_round(p, text);
	target_round(p, text);
	file_at(p, name, path);
	target_get(p, name, &before);
	(void)snprintf(replace, sizeof(replace), "%s,replace=no", text);
	t = target_at(p, replace);
	assert_int_equal(target_write(t, TWO, &p->two, NULL), ERR_EXISTS);
	target_close(&t);
	t = target_at(p, text);
	assert_int_equal(target_write(t, TWO, &p->two, &d), ERR_EXISTS);
	assert_non_null(strstr(d.text, ONE));
	d.text[0] = '\0';
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(target_write(t, TWO, &p->two, &d), ERR_CONFIG);
	assert_non_null(strstr(d.text, "chmod 600"));
	target_close(&t);
	target_get(p, name, &after);
	assert_int_equal(after.len, before.len);
	assert_memory_equal(after.p, before.p, before.len);
	(void)snprintf(replace, sizeof(replace), "%s,replace=yes", text);
	t = target_at(p, replace);
	assert_int_equal(target_write(t, TWO, &p->two, NULL), ERR_OK);
	target_close(&t);
	buf_free(&before);
	buf_free(&after);
}

void
target_full_disk(struct target_place *p, const char *text)
{
	struct target *t = target_at(p, text);
	struct secret back = {0};
	struct detail d;
	int n, before = target_files(p);
	enum err e;

	for (n = 1;; n++) {
		d.text[0] = '\0';
		(void)target_fault(n);
		e = target_write(t, ONE, &p->one, &d);
		if (!target_fault(0))
			break;
		assert_int_equal(e, ERR_IO);
		assert_true(d.text[0] != '\0');
		/* after the rename, only the folder's fsync can fail */
		if (target_read(t, ONE, &back, NULL) == ERR_OK)
			continue;
		assert_int_equal(target_files(p), before);
	}
	assert_true(n > 3);
	assert_int_equal(e, ERR_OK);
	assert_int_equal(target_files(p), before + 1);
	assert_holds(t, &p->one);
	secret_free(&back);
	target_close(&t);
}
