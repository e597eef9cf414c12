#ifndef PROVISION_IMAGE_H
#define PROVISION_IMAGE_H

#include <stdint.h>

#include "lib/base/buf.h"

/*
 * A firmware image whose octets can be read and changed by address: a raw
 * binary (addresses are offsets), or Intel HEX (addresses as the records
 * give them, types 02 and 04 included), of which only the digits that
 * change are touched.
 */
#define IMAGE_MAX ((size_t)64 << 20)
enum image_kind { IMAGE_RAW, IMAGE_HEX };

struct image;
/* Takes the octets out of text. ERR_REQUEST with d for broken Intel HEX. */
enum err image_parse(enum image_kind kind, struct buf *text, struct image **out,
		     struct detail *d) MUST_CHECK;
/* ERR_REQUEST unless the image has all len octets from address at. */
enum err image_get(const struct image *img, uint64_t at, void *p,
		   size_t len) MUST_CHECK;
enum err image_put(struct image *img, uint64_t at, const void *p,
		   size_t len) MUST_CHECK;
/* As it is to be written to a file. */
const struct buf *image_text(const struct image *img);
void image_free(struct image **img);

#endif
