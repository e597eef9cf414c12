#ifndef FIRMWARE_BOARD_H
#define FIRMWARE_BOARD_H

#include <fealty/slots.h>

/*
 * ARM MPS2+ with the AN385 image (a Cortex-M3), as QEMU has it: UART0, the
 * processor's tick, and PSRAM that outlasts a loss of power.
 */

/* Counts this start; the clock is at 1970, as always. */
void board_start(void);
/* Sleeps until there is one. */
uint8_t board_uart_take(void);
void board_uart_put(const uint8_t *p, size_t len);
/* Seconds since 1970 as this board knows them: since its start. */
int64_t board_clock(void);
/* Starts so far, this one included; 0: the count is not to be trusted. */
uint32_t board_starts(void);
/* The chip's own serial number. */
const char *board_serial(void);
/* The most that the stack held since the last board_stack_mark, in octets. */
void board_stack_mark(void);
uint32_t board_stack_used(void);

extern const struct fealty_medium board_medium;
int board_is_locked(void *ctx);
int board_lock(void *ctx);

#endif
