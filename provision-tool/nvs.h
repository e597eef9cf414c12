#ifndef PROVISION_NVS_H
#define PROVISION_NVS_H

#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/secret.h"

/*
 * An ESP32 NVS partition, version 2, not encrypted (docs/targets.md has the
 * layout), filled entry by entry as Espressif's generator does it: pages in
 * order, the last one kept empty.
 */
#define NVS_PAGE 4096
#define NVS_SIZE_MIN 0x3000
#define NVS_SIZE_MAX 0x100000
#define NVS_NAME_MAX 15
#define NVS_STRING_MAX 4000 /* with its NUL */

enum nvs_type {
	NVS_U8 = 0x01,
	NVS_I8 = 0x11,
	NVS_U16 = 0x02,
	NVS_I16 = 0x12,
	NVS_U32 = 0x04,
	NVS_I32 = 0x14,
	NVS_U64 = 0x08,
	NVS_I64 = 0x18,
	NVS_STRING = 0x21,
	NVS_BLOB_DATA = 0x42,
	NVS_BLOB_INDEX = 0x48
};

struct nvs;
/* size: a multiple of NVS_PAGE. ERR_REQUEST. */
enum err nvs_new(size_t size, struct nvs **out, struct detail *d) MUST_CHECK;
/* What follows is in that namespace. */
enum err nvs_namespace(struct nvs *n, const char *name,
		       struct detail *d) MUST_CHECK;
/* value: two's complement; the type says how much of it counts. */
enum err nvs_number(struct nvs *n, const char *key, enum nvs_type type,
		    uint64_t value, struct detail *d) MUST_CHECK;
enum err nvs_string(struct nvs *n, const char *key, const char *s, size_t len,
		    struct detail *d) MUST_CHECK;
enum err nvs_blob(struct nvs *n, const char *key, const void *p, size_t len,
		  struct detail *d) MUST_CHECK;
/* The whole partition; size octets that live as long as n. Nothing after. */
const unsigned char *nvs_finish(struct nvs *n);
void nvs_free(struct nvs **n);

/* Adds the entries of the vendor's CSV file. ERR_REQUEST with d. */
enum err nvs_csv(struct nvs *n, const char *path, struct detail *d) MUST_CHECK;

/*
 * The blob of that name in a partition, every page, entry and checksum of
 * which is checked. ERR_RECORD with d; ERR_NOT_FOUND.
 */
enum err nvs_read_blob(const void *p, size_t len, const char *name,
		       const char *key, struct secret *out,
		       struct detail *d) MUST_CHECK;

#endif
