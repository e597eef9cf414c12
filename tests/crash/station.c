#include "tests/crash/station.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#define BURN_SECONDS 60
#define TOOL "provision-tool"

/* --- cutfs.so ------------------------------------------------------------- */

struct cut *
cut_new(const char *path, const char *program)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct cut *c;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, sizeof(*c)), 0);
	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(c != MAP_FAILED);
	assert_int_equal(close(fd), 0);
	(void)snprintf(c->program, sizeof(c->program), "%s", program);
	return c;
}

/* Sanitizers want to be first, and are told that they need not be. */
void
preload(const char *cut_path)
{
	const char *top = getenv("FEALTY_BUILD_DIR");
	const char *asan = getenv("ASAN_OPTIONS");
	char path[PATH_MAX], real[PATH_MAX], options[600];

	if (cut_path == NULL) {
		assert_int_equal(unsetenv("LD_PRELOAD"), 0);
		assert_int_equal(unsetenv(CUT_ENV), 0);
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/tests/crash/.libs/cutfs.so",
	    top == NULL ? "." : top);
	assert_non_null(realpath(path, real));
	assert_int_equal(setenv("LD_PRELOAD", real, 1), 0);
	assert_int_equal(setenv(CUT_ENV, cut_path, 1), 0);
	if (asan == NULL)
		asan = "";
	if (strstr(asan, "verify_asan_link_order") == NULL) {
		(void)snprintf(options, sizeof(options),
		    "%.500s:verify_asan_link_order=0", asan);
		assert_int_equal(setenv("ASAN_OPTIONS", options, 1), 0);
	}
}

unsigned
crash_rounds(unsigned otherwise)
{
	const char *n = getenv("CRASH_ROUNDS");

	return n == NULL ? otherwise : (unsigned)strtoul(n, NULL, 10);
}

uint64_t
crash_seed(void)
{
	const char *s = getenv("CRASH_SEED");
	uint64_t seed = 0;

	if (s != NULL)
		seed = strtoull(s, NULL, 10);
	else
		assert_int_equal(getrandom(&seed, 4, 0), 4);
	print_message("# CRASH_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* --- the station ---------------------------------------------------------- */

void
station_new_disk(struct station *s)
{
	char burned[CUT_PATH + 16], name[80];

	disk_close(&s->disk);
	(void)snprintf(name, sizeof(name), "%s.disk", s->name);
	disk_open(&s->disk, s->w->dir, name);
	(void)snprintf(burned, sizeof(burned), "%s/burned", s->disk.root);
	assert_int_equal(mkdir(burned, 0700), 0);
	disk_settle(&s->disk);
	memcpy(s->cut->root, s->disk.root, sizeof(s->cut->root));
	memcpy(s->cut->hold, s->disk.hold, sizeof(s->cut->hold));
	s->nunits = 0;
}

void
station_open(struct station *s, struct world *w, const struct kind *kind,
    const char *name, const char *order, uint64_t *seed)
{
	char file[ROOM];

	memset(s, 0, sizeof(*s));
	s->w = w;
	s->kind = kind;
	s->seed = seed;
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	(void)snprintf(s->order, sizeof(s->order), "%s", order);
	(void)snprintf(file, sizeof(file), "%.64s.cut", name);
	(void)world_file(w, file, s->cut_path);
	(void)snprintf(file, sizeof(file), "%.64s.out", name);
	(void)world_file(w, file, s->out);
	(void)snprintf(file, sizeof(file), "%.64s.err", name);
	(void)world_file(w, file, s->err);
	(void)world_file(w, "station", s->credential);
	s->cut = cut_new(s->cut_path, TOOL);
	station_new_disk(s);
}

void
station_close(struct station *s)
{
	if (s->cut != NULL)
		(void)munmap(s->cut, sizeof(*s->cut));
	s->cut = NULL;
	disk_close(&s->disk);
}

void
station_arm(struct station *s, enum cut_action action, unsigned scope,
    unsigned at)
{
	s->cut->action = action;
	s->cut->scope = scope;
	s->cut->at = at;
	s->cut->octets = (uint32_t)chance(s->seed, 120);
	s->cut->what[0] = '\0';
	atomic_store(&s->cut->calls, 0);
	atomic_store(&s->cut->hit, 0);
	atomic_store(&s->cut->state, CUT_RUNS);
}

/* A unit is one of the disk's from its first burn on. */
static void
remember(struct station *s, const char *serial)
{
	size_t i;

	for (i = 0; i < s->nunits; i++)
		if (strcmp(s->units[i], serial) == 0)
			return;
	assert_true(s->nunits < UNITS_MAX);
	(void)snprintf(s->units[s->nunits++], sizeof(s->units[0]), "%s",
	    serial);
}

static void
name_target(const struct station *s, char *out, size_t size)
{
	const char *p;
	size_t n = 0;

	for (p = s->kind->target; *p != '\0'; p++) {
		if (*p == '%')
			n += (size_t)snprintf(out + n, size - n, "%s/burned",
			    s->disk.root);
		else if (*p == '^')
			n += (size_t)snprintf(out + n, size - n, "%s",
			    s->w->dir);
		else
			n += (size_t)snprintf(out + n, size - n, "%c", *p);
		assert_true(n < size);
	}
}

/* The units of a line, in a file that is not on its disk. */
static void
write_list(struct station *s, const char *first, char path[ROOM])
{
	unsigned long from = strtoul(first + 2, NULL, 10), i;
	char name[ROOM], serial[16];
	FILE *f;

	(void)snprintf(name, sizeof(name), "%.64s.list", s->name);
	f = fopen(world_file(s->w, name, path), "we");
	assert_non_null(f);
	for (i = 0; i < s->line; i++) {
		(void)snprintf(serial, sizeof(serial), "SN%06lu", from + i);
		remember(s, serial);
		(void)fprintf(f, "%s\n", serial);
	}
	assert_int_equal(fclose(f), 0);
}

/* A folder for the journal that is not there yet, nor the one above it. */
pid_t
station_start(struct station *s, const char *serial)
{
	char url[ROOM], journal[CUT_PATH + 32], list[ROOM], slots[16];
	char target[4 * CUT_PATH];
	const char *argv[] = {"build:" TOOL "/" TOOL,
	    s->line > 0 ? "run" : "burn", "--order", s->order,
	    s->line > 0 ? "--serials" : "--serial",
	    s->line > 0 ? list : serial, "--target", target, "--journal",
	    journal, "--url", world_url(s->w, url), "--credential-file",
	    s->credential, s->line > 0 ? "--slots" : NULL, slots, NULL};
	pid_t pid;

	(void)snprintf(journal, sizeof(journal), "%s/var/journal",
	    s->disk.root);
	name_target(s, target, sizeof(target));
	(void)unlink(s->err);
	(void)snprintf(slots, sizeof(slots), "%u", s->slots);
	if (s->line > 0)
		write_list(s, serial, list);
	else
		remember(s, serial);
	preload(s->cut_path);
	pid = process_start(argv, s->out, s->err);
	preload(NULL);
	assert_true(pid > 0);
	return pid;
}

int
station_ended(struct station *s, pid_t *pid, int *status)
{
	if (!process_ended(pid, status))
		return 0;
	(void)file_text(s->err, s->said, sizeof(s->said));
	return 1;
}

int
station_burn(struct station *s, const char *serial)
{
	const struct timespec pause = {0, 2000000};
	long deadline = process_deadline(BURN_SECONDS);
	pid_t pid = station_start(s, serial);
	int status = -1;

	while (!station_ended(s, &pid, &status)) {
		if (!process_left(deadline))
			fail_msg("%s burning %s hangs", s->name, serial);
		(void)nanosleep(&pause, NULL);
	}
	return status;
}
