#ifndef FEALTY_SLOTS_H
#define FEALTY_SLOTS_H

#include <fealty/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The identity record in persistent memory that may lose power at any octet
 * (docs/serial-protocol.md, "In the device"). A new record goes into the slot
 * that is not in use and counts from the moment its head is whole; until then
 * the old one does. No heap, no operating system, no state but the caller's.
 */
#define FEALTY_SLOTS 2
#define FEALTY_SLOT_HEAD 16
#define FEALTY_SLOT_SIZE (FEALTY_SLOT_HEAD + FEALTY_RECORD_MAX)

/*
 * The medium, of the firmware's making: FEALTY_SLOTS areas of
 * FEALTY_SLOT_SIZE octets. 0 for success. After erase a slot holds anything
 * but what it held; between two erases no octet is written twice, the head
 * (at 0) last, everything else in ascending order from FEALTY_SLOT_HEAD on
 * in pieces that begin at multiples of 16. What write or erase reports as
 * done must outlast a loss of power.
 */
struct fealty_medium {
	int (*read)(void *ctx, unsigned slot, uint32_t at, uint8_t *out,
		    size_t len);
	int (*write)(void *ctx, unsigned slot, uint32_t at, const uint8_t *p,
		     size_t len);
	int (*erase)(void *ctx, unsigned slot);
	void *ctx;
};

struct fealty_slots {
	const struct fealty_medium *medium;
	int active;   /* slot of the record; -1: none */
	uint32_t seq; /* of the record in it */
};

/*
 * Find the newest whole record: its octets to mem (FEALTY_RECORD_MAX), their
 * number to *len, and *out to it, pointing into mem. Call once at the start,
 * and whenever mem was used for something else. FEALTY_E_RECORD: there is
 * none; then *len is 0 and mem wiped. s->medium is set by the caller.
 */
enum fealty_status fealty_slots_load(struct fealty_slots *s, uint8_t *mem,
				     size_t *len, struct fealty_record *out);
/*
 * Erase the slot that is not in use: before a new record, and behind one, so
 * that the key it replaced does not lie about.
 */
enum fealty_status fealty_slots_clear(struct fealty_slots *s);
/* Octets of the new record; at is a multiple of 16. */
enum fealty_status fealty_slots_put(struct fealty_slots *s, uint32_t at,
				    const uint8_t *p, size_t len);
/*
 * The new record is whole: read it back from the medium into mem, hold it
 * against crc (of all its len octets), and switch. FEALTY_E_RECORD or
 * FEALTY_E_MEDIUM: nothing has changed, but mem is to be loaded again.
 */
enum fealty_status fealty_slots_commit(struct fealty_slots *s, uint32_t crc,
				       size_t len, uint8_t *mem,
				       struct fealty_record *out);

#ifdef __cplusplus
}
#endif
#endif
