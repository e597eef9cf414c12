#ifndef TESTS_BOARD_H
#define TESTS_BOARD_H

#include <stdint.h>
#include <sys/types.h>

/*
 * examples/firmware on a board of QEMU's. Its PSRAM is a file, which outlasts
 * a loss of power; its UART comes out at a tty that stays when the board
 * goes, as a USB adapter does.
 */
struct board;

/* With a serial number in it, and power. dir is for its files. NULL: failed */
struct board *board_new(const char *dir, const char *serial);
const char *board_tty(const struct board *b);
/* 0 for success. */
int board_power_on(struct board *b);
void board_power_off(struct board *b); /* kill -9 */
/*
 * Stops the board just when it has touched the octet of PSRAM for the n-th
 * time from now on (from 1), and takes its power. Begin before the write;
 * board_cut_wait gives 1 when it has been, 0 when it was not in that time.
 */
int board_cut_begin(struct board *b, uint32_t psram_at, unsigned n);
int board_cut_wait(struct board *b, unsigned seconds);
/* What is in PSRAM. */
int board_psram(const struct board *b, uint32_t at, void *out, size_t len);
void board_free(struct board **b);

/* Where examples/firmware keeps what. */
#define BOARD_SLOT(n) ((uint32_t)(n) * 0x2000)
#define BOARD_SERIAL 0x6000

#endif
