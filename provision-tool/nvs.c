#include "provision-tool/nvs.h"

#include <stdlib.h>
#include <string.h>

#include "provision-tool/crc.h"

#define ENTRIES 126
#define ENTRY 32
#define BITMAP 32      /* where it is in a page */
#define FIRST 64       /* the first entry */
#define NAMESPACES 254
#define ACTIVE 0xfe    /* lowest octet of the page's state; the others FF */
#define FULL 0xfc
#define VERSION2 0xfe
#define NO_CHUNK 0xff
#define CRC_START 0xffffffff

struct nvs {
	unsigned char *p;
	size_t npages, page; /* page: the one that is being filled */
	unsigned entry;	     /* the next of it */
	unsigned nspaces, space;
	char spaces[NAMESPACES + 1][NVS_NAME_MAX + 1]; /* from 1 */
};

static void
put_le(unsigned char *p, uint64_t v, size_t n)
{
	for (; n > 0; n--, v >>= 8)
		*p++ = (unsigned char)v;
}

static unsigned char *
page_at(const struct nvs *n)
{
	return n->p + n->page * NVS_PAGE;
}

static void
put_header(const struct nvs *n)
{
	unsigned char *h = page_at(n);

	h[0] = ACTIVE;
	put_le(h + 4, n->page, 4);
	h[8] = VERSION2;
	put_le(h + 28, crc32_zlib(CRC_START, h + 4, 24), 4);
}

enum err
nvs_new(size_t size, struct nvs **out, struct detail *d)
{
	struct nvs *n;

	if (size % NVS_PAGE != 0 || size < NVS_SIZE_MIN ||
	    size > NVS_SIZE_MAX) {
		detail_set(d, "an NVS partition has 0x3000 to 0x100000 octets, "
			      "a multiple of 0x1000");
		return ERR_REQUEST;
	}
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return ERR_NOMEM;
	n->npages = size / NVS_PAGE;
	n->p = malloc(size);
	if (n->p == NULL) {
		nvs_free(&n);
		return ERR_NOMEM;
	}
	memset(n->p, 0xff, size);
	put_header(n);
	*out = n;
	return ERR_OK;
}

void
nvs_free(struct nvs **n)
{
	if (n == NULL || *n == NULL)
		return;
	if ((*n)->p != NULL)
		wipe((*n)->p, (*n)->npages * NVS_PAGE);
	free((*n)->p);
	free(*n);
	*n = NULL;
}

/* The last page stays empty: the device needs one to begin with. */
static enum err
next_page(struct nvs *n, struct detail *d)
{
	if (n->page + 2 >= n->npages) {
		detail_set(d, "the entries do not fit a partition of 0x%zx: "
			      "give a larger size=",
			   n->npages * NVS_PAGE);
		return ERR_TOO_LARGE;
	}
	page_at(n)[0] = FULL;
	n->page++;
	n->entry = 0;
	put_header(n);
	return ERR_OK;
}

/* As many entries as len octets take; an entry's two bits become 10. */
static void
put_octets(struct nvs *n, const void *p, size_t len)
{
	unsigned char *page = page_at(n);
	size_t used = 0;

	if (len > 0)
		memcpy(page + FIRST + (size_t)ENTRY * n->entry, p, len);
	for (; used < len; used += ENTRY, n->entry++)
		page[BITMAP + n->entry / 4] &=
		    (unsigned char)~(1u << n->entry % 4 * 2);
}

static void
put_entry(struct nvs *n, unsigned char e[ENTRY])
{
	uint32_t crc = crc32_zlib(CRC_START, e, 4);

	put_le(e + 4, crc32_zlib(crc, e + 8, 24), 4);
	put_octets(n, e, ENTRY);
}

static void
begin(unsigned char e[ENTRY], unsigned space, enum nvs_type type,
      const char *key)
{
	memset(e, 0xff, ENTRY);
	e[0] = (unsigned char)space;
	e[1] = (unsigned char)type;
	e[2] = 1;
	e[3] = NO_CHUNK;
	memset(e + 8, 0, 16);
	memcpy(e + 8, key, strlen(key));
}

static void
put_data_head(unsigned char e[ENTRY], const void *p, size_t len)
{
	e[2] = (unsigned char)(1 + (len + ENTRY - 1) / ENTRY);
	put_le(e + 24, len, 2);
	put_le(e + 28, crc32_zlib(CRC_START, p, len), 4);
}

static enum err
check_name(const char *what, const char *name, struct detail *d)
{
	size_t i, len = strlen(name);

	for (i = 0; i < len; i++) {
		if (name[i] < ' ' || name[i] > '~')
			len = 0;
	}
	if (len > 0 && len <= NVS_NAME_MAX)
		return ERR_OK;
	detail_set(d, "%s \"%.20s\" is not 1 to 15 characters long", what,
		   len == 0 ? "" : name);
	return ERR_REQUEST;
}

/* 1 if a page up to now has an entry with that key in this namespace. */
static int
has_key(const struct nvs *n, const char *key)
{
	const unsigned char *e;
	size_t page;
	unsigned i;

	for (page = 0; page <= n->page; page++) {
		for (i = 0; i < ENTRIES; i += e[2]) {
			e = n->p + page * NVS_PAGE + FIRST + (size_t)ENTRY * i;
			if (e[0] == 0xff)
				break;
			if (e[0] == n->space &&
			    strncmp((const char *)e + 8, key, 16) == 0)
				return 1;
		}
	}
	return 0;
}

static enum err
check_key(const struct nvs *n, const char *key, struct detail *d)
{
	enum err e = check_name("key", key, d);

	if (e != ERR_OK)
		return e;
	if (n->space == 0) {
		detail_set(d, "key \"%s\" comes before any namespace", key);
		return ERR_REQUEST;
	}
	if (has_key(n, key)) {
		detail_set(d, "key \"%s\" is twice in namespace \"%s\"", key,
			   n->spaces[n->space]);
		return ERR_REQUEST;
	}
	return ERR_OK;
}

enum err
nvs_namespace(struct nvs *n, const char *name, struct detail *d)
{
	unsigned char e[ENTRY];
	enum err err;
	unsigned i;

	if ((err = check_name("namespace", name, d)) != ERR_OK)
		return err;
	for (i = 1; i <= n->nspaces; i++) {
		if (strcmp(n->spaces[i], name) == 0) {
			n->space = i;
			return ERR_OK;
		}
	}
	if (n->nspaces == NAMESPACES) {
		detail_set(d, "there are more than 254 namespaces");
		return ERR_REQUEST;
	}
	if (n->entry >= ENTRIES && (err = next_page(n, d)) != ERR_OK)
		return err;
	n->space = ++n->nspaces;
	memcpy(n->spaces[n->space], name, strlen(name) + 1);
	begin(e, 0, NVS_U8, name);
	e[24] = (unsigned char)n->space;
	put_entry(n, e);
	return ERR_OK;
}

enum err
nvs_number(struct nvs *n, const char *key, enum nvs_type type, uint64_t value,
	   struct detail *d)
{
	unsigned char e[ENTRY];
	enum err err;

	if ((err = check_key(n, key, d)) != ERR_OK)
		return err;
	if (n->entry >= ENTRIES && (err = next_page(n, d)) != ERR_OK)
		return err;
	begin(e, n->space, type, key);
	put_le(e + 24, value, (size_t)type & 0x0f);
	put_entry(n, e);
	wipe(e, sizeof(e));
	return ERR_OK;
}

/* A page that it would fill to the last entry counts as full already. */
enum err
nvs_string(struct nvs *n, const char *key, const char *s, size_t len,
	   struct detail *d)
{
	unsigned char e[ENTRY], data[NVS_STRING_MAX];
	enum err err;

	if ((err = check_key(n, key, d)) != ERR_OK)
		return err;
	if (len >= NVS_STRING_MAX || memchr(s, '\0', len) != NULL) {
		detail_set(d, "the string of key \"%s\" is longer than 3999 "
			      "octets, or holds a zero",
			   key);
		return ERR_REQUEST;
	}
	memcpy(data, s, len);
	data[len++] = '\0';
	begin(e, n->space, NVS_STRING, key);
	put_data_head(e, data, len);
	if (n->entry + e[2] >= ENTRIES && n->entry > 0)
		err = next_page(n, d);
	if (err == ERR_OK) {
		put_entry(n, e);
		put_octets(n, data, len);
	}
	wipe(data, sizeof(data));
	return err;
}

/* Chunks that fill what is left of a page, then the index. */
enum err
nvs_blob(struct nvs *n, const char *key, const void *p, size_t len,
	 struct detail *d)
{
	const unsigned char *s = p;
	size_t room, part, left = len;
	unsigned char e[ENTRY];
	unsigned chunks = 0;
	enum err err;

	if ((err = check_key(n, key, d)) != ERR_OK)
		return err;
	if (n->entry >= ENTRIES && (err = next_page(n, d)) != ERR_OK)
		return err;
	do {
		room = (size_t)(ENTRIES - n->entry - 1) * ENTRY;
		part = left < room ? left : room;
		begin(e, n->space, NVS_BLOB_DATA, key);
		put_data_head(e, s, part);
		e[3] = (unsigned char)chunks++;
		put_entry(n, e);
		put_octets(n, s, part);
		s += part;
		left -= part;
		if ((left > 0 || room - part < ENTRY) &&
		    (err = next_page(n, d)) != ERR_OK)
			return err;
	} while (left > 0);
	begin(e, n->space, NVS_BLOB_INDEX, key);
	put_le(e + 24, len, 4);
	e[28] = (unsigned char)chunks;
	e[29] = 0;
	put_entry(n, e);
	return ERR_OK;
}

/* The generator opens, and closes, every page but the last. */
const unsigned char *
nvs_finish(struct nvs *n)
{
	while (n->page + 2 < n->npages && next_page(n, NULL) == ERR_OK)
		;
	page_at(n)[0] = FULL;
	return n->p;
}
