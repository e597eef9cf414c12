#include "tests/table/attempt.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>
#include <fealty/device_openssl.h>

#define LIMIT 60 /* seconds, of a burn */

/* --- the command --------------------------------------------------------- */

void
attempt_next(struct attempt *a)
{
	(void)snprintf(a->serial, sizeof(a->serial), "SN%04u",
	    ++a->units);
}

/* % the folder of devices, ^ the one above, ~ the serial line. */
void
attempt_aim(struct attempt *a, const char *text)
{
	size_t n = 0, size = sizeof(a->target);
	const char *p;

	for (p = text; *p != '\0'; p++) {
		if (*p == '%')
			n += (size_t)snprintf(a->target + n, size - n,
			    "%s/burned", a->w.dir);
		else if (*p == '^' || *p == '~')
			n += (size_t)snprintf(a->target + n, size - n, "%s",
			    *p == '^' ? a->w.dir : a->wire.path);
		else
			n += (size_t)snprintf(a->target + n, size - n, "%c",
			    *p);
		assert_true(n < size);
	}
}

static void
fill_disk(struct attempt *a, const char *folder)
{
	char path[ROOM];

	(void)snprintf(a->cut->root, sizeof(a->cut->root), "%s",
	    world_file(&a->w, folder, path));
	a->cut->action = CUT_FULL;
	a->cut->scope = CUT_SPACE;
	a->cut->at = a->full_at;
	a->cut->octets = 30;
	atomic_store(&a->cut->calls, 0);
	atomic_store(&a->cut->hit, 0);
	preload(a->cut_path);
}

int
attempt_burn(struct attempt *a)
{
	char journal[ROOM];
	const char *argv[] = {"build:provision-tool/provision-tool", "burn",
	    "--order", a->order, "--serial", a->serial, "--target",
	    a->target, "--journal", world_file(&a->w, "journal", journal),
	    "--url", a->url, "--credential-file", a->credential, NULL};
	int status;

	if (a->full != NULL)
		fill_disk(a, a->full);
	status = process_run(argv, NULL, LIMIT, &a->w.r);
	preload(NULL);
	return status;
}

void
attempt_well(struct attempt *a, const char *what)
{
	int status = attempt_burn(a);

	if (status != 0)
		fail_msg("%s: %d %s", what, status, a->w.r.err);
}

/* --- the world ----------------------------------------------------------- */

static void
put(struct attempt *a, const char *name, const void *octets, size_t len)
{
	char path[ROOM];
	int fd = open(world_file(&a->w, name, path),
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

void
attempt_put(struct attempt *a, const char *name, const char *text)
{
	put(a, name, text, strlen(text));
}

void
attempt_order(struct attempt *a, const char *name, const char *quantity,
    const char *stations, const char *min_proof)
{
	CTL(&a->w, "order", "create", name, "--model", "m1", "--quantity",
	    quantity, "--expires", "24h", "--peers", "hub", "--stations",
	    stations, "--serial-pattern", "SN[0-9]{4}", "--min-proof",
	    min_proof);
	(void)snprintf(a->order, sizeof(a->order), "%s", name);
}

/* A tool whose device has moods; what it does in them is after their name. */
static const char tool[] =
    "#!/bin/sh\n"
    "here=${0%/*}\n"
    "chip=$here/chip-$FEALTY_DEVICE_ID\n"
    "case $(cat \"$here/mood-$FEALTY_DEVICE_ID\" 2>&1) in\n"
    "$1-fails) echo 'no chip found' >&2; exit 7 ;;\n"
    "$1-late) sleep 100 ;;\n"
    "$1-short) printf 12; exit 0 ;;\n"
    "$1-other) cat \"$here/other-$1\"; exit 0 ;;\n"
    "esac\n"
    "case $1 in\n"
    "write) cat <&3 >\"$chip\" ;;\n"
    "read) cat \"$chip\" ;;\n"
    "prove) exec \"$here/prover\" --prove \"$chip\" ;;\n"
    "esac\n";

static void
make_files(struct attempt *a)
{
	static const unsigned char zeros[32];
	unsigned char image[8192];
	char octets[FEALTY_RECORD_MAX + 1], path[ROOM];
	ssize_t n;

	memset(image, 0xff, sizeof(image));
	put(a, "image.bin", image, sizeof(image));
	put(a, "image-cut.bin", image, 300);
	attempt_put(a, "image.hex",
	    ":10010000FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\n");
	attempt_put(a, "entries.csv", "key,type,encoding,value\nvendor,names");
	attempt_put(a, "tool", tool);
	put(a, "other-prove", zeros, sizeof(zeros));
	attempt_well(a, "the first");
	n = file_text(world_file(&a->w, "burned/SN0001.cbor", path), octets,
	    sizeof(octets));
	assert_true(n > 0);
	put(a, "other-read", octets, (size_t)n);
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	assert_true(n > 0);
	path[n] = '\0';
	assert_int_equal(symlink(path, world_file(&a->w, "prover", octets)), 0);
}

void
attempt_begin(struct attempt *a)
{
	a->full = NULL;
	(void)snprintf(a->order, sizeof(a->order), "first");
	(void)world_url(&a->w, a->url);
	(void)world_file(&a->w, "station", a->credential);
	attempt_next(a);
	attempt_aim(a, "file:%");
}

void
attempt_open(struct attempt *a)
{
	char path[ROOM];

	memset(a, 0, sizeof(*a));
	world_open(&a->w, NULL);
	world_order(&a->w, 1000);
	CTL(&a->w, "caller", "create", "line2", "--role", "station",
	    "--credential-out", world_file(&a->w, "station2", path));
	wire_plug_in(&a->wire, NONE, -1, HONEST);
	a->cut = cut_new(world_file(&a->w, "cut", a->cut_path),
	    "provision-tool");
	(void)snprintf(a->cut->hold, sizeof(a->cut->hold), "%s",
	    world_file(&a->w, "hold", path));
	assert_int_equal(mkdir(path, 0700), 0);
	attempt_begin(a);
	make_files(a);
}

void
attempt_close(struct attempt *a)
{
	wire_unplug(&a->wire);
	assert_int_equal(munmap(a->cut, sizeof(*a->cut)), 0);
	world_close(&a->w);
}

/* --- what may not be lost ------------------------------------------------ */

static void
copy_text(char *out, size_t size, const char *text)
{
	assert_true(strlen(text) < size);
	memcpy(out, text, strlen(text) + 1);
}

void
attempt_stock(struct attempt *a, struct holding *h)
{
	char script[ROOM + 100], name[80], path[ROOM];
	const char *argv[] = {"sh", "-c", script, NULL};

	world_sql(&a->w, "SELECT (SELECT sum(issued) FROM "
	    "fealty.production_order), count(*), count(DISTINCT serial), "
	    "count(*) FILTER (WHERE state = 2) FROM fealty.device "
	    "WHERE state <> 6");
	assert_int_equal(sscanf(a->w.r.out, "%u|%u|%u|%u", &h->issued,
	    &h->rows, &h->serials, &h->active), 4);
	(void)snprintf(script, sizeof(script), "cd '%s/burned' && "
	    "find . -type f -exec sha256sum {} + | sort", a->w.dir);
	assert_int_equal(process_run(argv, NULL, LIMIT, &a->w.r), 0);
	copy_text(h->files, sizeof(h->files), a->w.r.out);
	(void)snprintf(name, sizeof(name), "journal/%s.jsonl", a->order);
	(void)file_text(world_file(&a->w, name, path), h->journal,
	    sizeof(h->journal));
}

/* --- the prover of the tool ---------------------------------------------- */

int
attempt_prove(const char *path)
{
	char octets[FEALTY_RECORD_MAX + 1];
	unsigned char challenge[32], answer[32];
	ssize_t n = file_text(path, octets, sizeof(octets));
	struct fealty_record r;

	if (n <= 0 || read(3, challenge, sizeof(challenge)) != 32 ||
	    fealty_record_read(octets, (size_t)n, &r) != FEALTY_OK ||
	    fealty_proof(&fealty_device_port_openssl, &r, "burn", challenge,
		sizeof(challenge), answer) != FEALTY_OK)
		return 1;
	return write(STDOUT_FILENO, answer, sizeof(answer)) != 32;
}
