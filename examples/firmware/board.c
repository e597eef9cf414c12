#include "board.h"

#include <string.h>

/* CMSDK APB UART (Arm DDI 0479) */
struct uart {
	volatile uint32_t data, state, ctrl, intstatus, bauddiv;
};
#define UART0 ((struct uart *)0x40004000)
#define TX_FULL 1u
#define RX_FULL 2u
#define TX_AND_RX_ON 3u
#define RX_INTERRUPT_ON 8u
#define RX_INTERRUPT 2u
#define NVIC_ISER0 (*(volatile uint32_t *)0xe000e100)
#define UART0_RX_IRQ 0

/* SysTick (Arm DDI 0403) */
struct systick {
	volatile uint32_t ctrl, load, val;
};
#define SYSTICK ((struct systick *)0xe000e010)
#define CLOCK_HZ 25000000u

/* What persists. In flash, a lock would be the chip's read protection. */
struct cell {
	volatile uint32_t n, not_n;
};
struct persistent {
	volatile uint8_t slot[FEALTY_SLOTS][0x2000];
	struct cell starts[2];
	volatile uint32_t locked;
	uint8_t gap[0x2000 - 20];
	volatile char serial[64]; /* the factory's */
};
#define PERSISTENT ((struct persistent *)0x21000000)
#define LOCKED 0x10c4ed10u

static volatile uint32_t seconds;
static uint32_t starts;
static char serial[65];

extern uint32_t stack_bottom[];
#define PAINT 0xa5a5a5a5u
static uint32_t *marked;

void tick(void);
void uart_received(void);

void
tick(void)
{
	seconds++;
}

/* It has woken the processor, which is all it is for. */
void
uart_received(void)
{
	UART0->intstatus = RX_INTERRUPT;
}

/*
 * The count of starts, in the older of two cells: a start that loses power
 * here has not yet used its number.
 */
static void
count_start(void)
{
	struct cell *c = PERSISTENT->starts;
	uint32_t n[2];
	unsigned i, older;

	for (i = 0; i < 2; i++)
		n[i] = c[i].n == ~c[i].not_n ? c[i].n : 0;
	older = n[0] > n[1] ? 1 : 0;
	starts = n[1 - older] + 1;
	c[older].not_n = 0;
	c[older].n = starts;
	c[older].not_n = ~starts;
	if (c[older].n != starts || c[older].not_n != ~starts)
		starts = 0;
}

void
board_start(void)
{
	size_t i;

	UART0->bauddiv = CLOCK_HZ / 115200;
	UART0->ctrl = TX_AND_RX_ON | RX_INTERRUPT_ON;
	NVIC_ISER0 = 1u << UART0_RX_IRQ;
	/* 24 bits of SysTick are less than a second at 25 MHz: half of one */
	SYSTICK->load = CLOCK_HZ / 2 - 1;
	SYSTICK->val = 0;
	SYSTICK->ctrl = 7;
	for (i = 0; i < sizeof(serial) - 1; i++) {
		serial[i] = PERSISTENT->serial[i];
		if (serial[i] <= ' ' || serial[i] > '~')
			break;
	}
	serial[i] = '\0';
	count_start();
}

uint8_t
board_uart_take(void)
{
	while ((UART0->state & RX_FULL) == 0) {
		/* one that comes after the look still ends the wait */
		__asm volatile("cpsid i" ::: "memory");
		if ((UART0->state & RX_FULL) == 0)
			__asm volatile("wfi" ::: "memory");
		__asm volatile("cpsie i" ::: "memory");
	}
	return (uint8_t)UART0->data;
}

void
board_uart_put(const uint8_t *p, size_t len)
{
	for (; len > 0; len--) {
		while ((UART0->state & TX_FULL) != 0)
			;
		UART0->data = *p++;
	}
}

int64_t
board_clock(void)
{
	return seconds / 2;
}

uint32_t
board_starts(void)
{
	return starts;
}

const char *
board_serial(void)
{
	return serial;
}

/* Everything below this frame is nobody's. */
void
board_stack_mark(void)
{
	uint32_t *p;

	marked = __builtin_frame_address(0);
	for (p = stack_bottom; p < marked - 16; p++)
		*(volatile uint32_t *)p = PAINT;
}

uint32_t
board_stack_used(void)
{
	const uint32_t *p = stack_bottom;

	while (p < marked && *p == PAINT)
		p++;
	return (uint32_t)((const uint8_t *)marked - (const uint8_t *)p);
}

static int
inside(unsigned slot, uint32_t at, size_t len)
{
	return slot < FEALTY_SLOTS && at <= FEALTY_SLOT_SIZE &&
	       len <= FEALTY_SLOT_SIZE - at;
}

static int
medium_read(void *ctx, unsigned slot, uint32_t at, uint8_t *out, size_t len)
{
	(void)ctx;
	if (!inside(slot, at, len))
		return -1;
	for (; len > 0; len--)
		*out++ = PERSISTENT->slot[slot][at++];
	return 0;
}

static int
medium_write(void *ctx, unsigned slot, uint32_t at, const uint8_t *p,
	     size_t len)
{
	(void)ctx;
	if (!inside(slot, at, len))
		return -1;
	for (; len > 0; len--)
		PERSISTENT->slot[slot][at++] = *p++;
	return 0;
}

static int
medium_erase(void *ctx, unsigned slot)
{
	size_t i;

	(void)ctx;
	if (slot >= FEALTY_SLOTS)
		return -1;
	for (i = 0; i < FEALTY_SLOT_SIZE; i++)
		PERSISTENT->slot[slot][i] = 0xff;
	return 0;
}

const struct fealty_medium board_medium = {medium_read, medium_write,
					   medium_erase, NULL};

int
board_is_locked(void *ctx)
{
	(void)ctx;
	return PERSISTENT->locked == LOCKED;
}

int
board_lock(void *ctx)
{
	(void)ctx;
	PERSISTENT->locked = LOCKED;
	return PERSISTENT->locked == LOCKED ? 0 : -1;
}
