#include "tests/helpers/chip.h"

#include "tests/unit/unit.h"

#include <signal.h>
#include <unistd.h>

#include "lib/base/file.h"

#define LIMIT 60

static void
start(struct chip_place *c)
{
	char state[160], server[160], ctrl[160], out[CHIP_PATH];
	const char *argv[] = {"swtpm", "socket", "--tpm2", "--tpmstate",
	    state, "--server", server, "--ctrl", ctrl, "--flags",
	    "not-need-init,startup-clear", NULL};
	char path[CHIP_PATH];
	long deadline;

	(void)snprintf(state, sizeof(state), "dir=%s", c->dir);
	(void)snprintf(server, sizeof(server), "type=unixio,path=%s/s",
	    c->dir);
	(void)snprintf(ctrl, sizeof(ctrl), "type=unixio,path=%s/s.ctrl",
	    c->dir);
	(void)snprintf(out, sizeof(out), "%s/log", c->dir);
	(void)snprintf(path, sizeof(path), "%s/s.ctrl", c->dir);
	c->pid = process_start(argv, out, out);
	assert_true(c->pid > 0);
	deadline = process_deadline(LIMIT);
	while (access(path, F_OK) != 0) {
		assert_true(process_left(deadline));
		process_pause();
	}
}

void
chip_open(struct chip_place *c)
{
	const char *in = getenv("FEALTY_TEST_DIR");

	(void)snprintf(c->dir, sizeof(c->dir), "%.40s/chipXXXXXX",
	    in == NULL ? "/tmp" : in);
	assert_non_null(mkdtemp(c->dir));
	(void)snprintf(c->tcti, sizeof(c->tcti), "swtpm:path=%s/s", c->dir);
	start(c);
}

static void
stop(struct chip_place *c)
{
	char path[CHIP_PATH];

	(void)process_stop(&c->pid, SIGTERM);
	(void)snprintf(path, sizeof(path), "%s/s", c->dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/s.ctrl", c->dir);
	(void)unlink(path);
}

void
chip_close(struct chip_place *c)
{
	const char *argv[] = {"rm", "-rf", "--", c->dir, NULL};
	static struct ran r;

	if (c->dir[0] == '\0')
		return;
	stop(c);
	assert_int_equal(process_run(argv, NULL, LIMIT, &r), 0);
	c->dir[0] = '\0';
}

void
chip_cycle(struct chip_place *c)
{
	stop(c);
	start(c);
}

const char *
chip_file(const struct chip_place *c, const char *name, const char *text,
    char out[CHIP_PATH])
{
	(void)snprintf(out, CHIP_PATH, "%s/%.40s", c->dir, name);
	assert_int_equal(file_write_atomic(out, 0600, text, strlen(text)),
	    ERR_OK);
	return out;
}
