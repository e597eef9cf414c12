/* The vector table, and what is to be before main. */
#include <stdint.h>
#include <string.h>

extern uint8_t data_from[], data_begin[], data_end[];
extern uint8_t bss_begin[], bss_end[];
extern uint32_t stack_top[];

void reset(void);
void tick(void);
void uart_received(void);
int main(void);

/* A fault must not go on with a key in hand: stand still. */
static void
stop(void)
{
	for (;;)
		;
}

void
reset(void)
{
	memcpy(data_begin, data_from, (size_t)(data_end - data_begin));
	memset(bss_begin, 0, (size_t)(bss_end - bss_begin));
	(void)main();
	stop();
}

struct vectors {
	uint32_t *stack;
	void (*entry[16])(void);
};
__attribute__((section(".vectors"), used)) static const struct vectors table = {
    stack_top,
    {reset, stop, stop, stop, stop, stop, 0, 0, 0, 0, stop, stop, 0, stop,
     tick, uart_received}};
