#ifndef TESTS_SERIAL_DEVICE_H
#define TESTS_SERIAL_DEVICE_H

#include <fealty/serial.h>

/*
 * A device in memory: the code of device/ on a medium that may lose its power
 * at any octet, or lie.
 */
struct serial_device {
	struct fealty_serial_conf conf;
	struct fealty_medium medium;
	struct fealty_serial s;
	uint8_t slot[FEALTY_SLOTS][FEALTY_SLOT_SIZE];
	int locked;
	long power;	 /* octets until the power is lost; -1: never */
	int forgetful;	 /* what is written does not stay */
	unsigned erased, written, locks; /* calls */
};
/* Empty, "model-1", "SN0001"; it can be locked. */
void serial_device_make(struct serial_device *d);
/* Power comes (back). */
void serial_device_start(struct serial_device *d);
/* Gives it octets; what it sends is appended to out. Returns its length. */
size_t serial_device_hear(struct serial_device *d, const uint8_t *p,
			  size_t len, uint8_t *out, size_t size);

#endif
