#ifndef TESTS_CHIP_H
#define TESTS_CHIP_H

#include "tests/helpers/process.h"

/* A TPM 2.0 of one test: swtpm, in a folder of its own. */
struct chip_place {
	char dir[64];
	char tcti[128];
	pid_t pid;
};
void chip_open(struct chip_place *c);
void chip_close(struct chip_place *c);
/* Takes the power away and gives it back: what is not persistent is gone. */
void chip_cycle(struct chip_place *c);
/* A file of mode 0600 with text in the folder; its path. */
#define CHIP_PATH 128
const char *chip_file(const struct chip_place *c, const char *name,
    const char *text, char out[CHIP_PATH]);

#endif
