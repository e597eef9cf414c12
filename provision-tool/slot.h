#ifndef PROVISION_SLOT_H
#define PROVISION_SLOT_H

#include <limits.h>

#include "lib/base/secret.h"
#include "provision-tool/image.h"

/*
 * The slot for the record in a firmware image (docs/targets.md): two octets
 * of length, big-endian, then the record; behind it the placeholder stays.
 */
#define SLOT_HEAD 2
#define SLOT_SIZE 4096
#define SLOT_MAX 65536
#define SLOT_FILL_MAX 16

struct slot {
	char *in, *out; /* out may hold {device_id} */
	enum image_kind kind;
	uint64_t at, size;
	unsigned char fill[SLOT_FILL_MAX]; /* repeated all over the slot */
	size_t nfill;
	/* the CRC-32 of a range, kept at sum_at */
	int sum, sum_big;
	uint64_t sum_at, sum_from, sum_len;
	int replace;
	char name[2 * PATH_MAX];
};

/*
 * The image IN, if its slot holds the placeholder and its checksum is right
 * or not there yet; else ERR_REQUEST with d. img must be NULL before.
 */
enum err slot_load(const struct slot *t, struct image **img,
		   struct detail *d) MUST_CHECK;
/* IN with the record in its slot and the checksum made right. */
enum err slot_patch(const struct slot *t, const void *record, size_t len,
		    struct image **img, struct detail *d) MUST_CHECK;
/* What the slot of an image that was written holds. ERR_RECORD with d. */
enum err slot_take(const struct slot *t, const struct image *img,
		   struct secret *record, struct detail *d) MUST_CHECK;

#endif
