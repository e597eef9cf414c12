/*
 * image:IN:OUT@OFFSET: the record in the slot of a firmware image, raw or
 * Intel HEX, and nothing else changed but the checksum; any other image,
 * offset or file is refused before it could be flashed.
 */
#include "tests/unit/target_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "provision-tool/crc.h"
#include "provision-tool/image.h"

#define SIZE 0x3000
#define AT 0x1000
#define SPEC "image:%/in.bin:%/out.bin@0x1000"
#define SUM ",crc32=0x2ffc:0x0+0x2ffc"

/* Code, a slot of FF, code. */
static void
make_raw(unsigned char *o)
{
	size_t i;

	for (i = 0; i < SIZE; i++)
		o[i] = (unsigned char)(i * 7 + (i >> 8));
	memset(o + AT, 0xff, 4096);
	memset(o + SIZE - 4, 0xff, 4);
}

static void
put_line(struct buf *b, unsigned type, unsigned at, const unsigned char *p,
	 unsigned n)
{
	unsigned sum = n + (at >> 8) + (at & 255) + type, i;

	assert_int_equal(buf_fmt(b, ":%02X%04X%02X", n, at, type), ERR_OK);
	for (i = 0; i < n; i++) {
		assert_int_equal(buf_fmt(b, "%02X", p[i]), ERR_OK);
		sum += p[i];
	}
	assert_int_equal(buf_fmt(b, "%02X\r\n", (0u - sum) & 255), ERR_OK);
}

/* The same at 0x08000000 and, from 0x08002000 on, in another segment. */
static void
make_hex(const unsigned char *o, struct buf *b)
{
	static const unsigned char base[2] = {0x08, 0x00};
	unsigned at;

	put_line(b, 4, 0, base, 2);
	for (at = 0; at < SIZE; at += 16)
		put_line(b, 0, at, o + at, 16);
	put_line(b, 1, 0, NULL, 0);
}

static void
place_images(struct target_place *p, unsigned char *o)
{
	struct buf hex = {.max = 1 << 20};

	make_raw(o);
	target_put(p, "in.bin", o, SIZE);
	make_hex(o, &hex);
	target_put(p, "in.hex", hex.p, hex.len);
	buf_free(&hex);
}

static void
record_fills_its_slot_and_nothing_else_changes(void **state)
{
	struct target_place *p = *state;
	struct buf got = {.max = 1 << 20};
	unsigned char o[SIZE];
	struct stat st;
	char path[256];
	size_t n = p->one.len;

	place_images(p, o);
	target_round(p, SPEC);
	target_get(p, "out.bin", &got);
	o[AT] = (unsigned char)(n >> 8);
	o[AT + 1] = (unsigned char)n;
	memcpy(o + AT + 2, p->one.p, n);
	assert_int_equal(got.len, SIZE);
	assert_memory_equal(got.p, o, SIZE);
	(void)snprintf(path, sizeof(path), "%s/out.bin", p->root);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	buf_free(&got);
}

static void
intel_hex_holds_what_the_raw_image_holds(void **state)
{
	struct target_place *p = *state;
	struct buf raw = {.max = 1 << 20}, hex = {.max = 1 << 20};
	unsigned char o[SIZE], there[SIZE];
	struct image *img = NULL;
	size_t before;

	place_images(p, o);
	target_round(p, SPEC SUM);
	target_round(p, "image:%/in.hex:%/out.hex@0x08001000,"
			"crc32=0x08002ffc:0x08000000+0x2ffc");
	target_get(p, "out.bin", &raw);
	target_get(p, "in.hex", &hex);
	before = hex.len;
	target_get(p, "out.hex", &hex);
	assert_int_equal(hex.len, before);
	assert_int_equal(image_parse(IMAGE_HEX, &hex, &img, NULL), ERR_OK);
	assert_int_equal(image_get(img, 0x08000000, there, SIZE), ERR_OK);
	assert_memory_equal(there, raw.p, SIZE);
	assert_int_equal(image_get(img, 0x08000001, there, SIZE), ERR_REQUEST);
	image_free(&img);
	buf_free(&raw);
	buf_free(&hex);
}

static void
checksum_is_made_right_in_either_byte_order(void **state)
{
	struct target_place *p = *state;
	struct buf got = {.max = 1 << 20};
	unsigned char o[SIZE], *s;
	uint32_t crc;

	assert_int_equal(crc32_zlib(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(crc32_zlib(crc32_zlib(0, "1234", 4), "56789", 5),
			 0xcbf43926);
	place_images(p, o);
	target_round(p, SPEC SUM);
	target_get(p, "out.bin", &got);
	crc = crc32_zlib(0, got.p, SIZE - 4);
	s = (unsigned char *)got.p + SIZE - 4;
	assert_int_equal(s[0] | s[1] << 8 | s[2] << 16 | (uint32_t)s[3] << 24,
			 crc);
	target_round(p, SPEC ",crc32be=0x2ffc:0x0+0x2ffc");
	target_get(p, "out.bin", &got);
	s = (unsigned char *)got.p + SIZE - 4;
	assert_int_equal((uint32_t)s[0] << 24 | s[1] << 16 | s[2] << 8 | s[3],
			 crc);
	buf_free(&got);
}

static void
region_without_the_placeholder_is_never_overwritten(void **state)
{
	struct target_place *p = *state;
	unsigned char o[SIZE];

	place_images(p, o);
	target_refused(p, "image:%/in.bin:%/out.bin@0x1001", "placeholder");
	target_refused(p, "image:%/in.bin:%/out.bin@0xfff", "placeholder");
	target_refused(p, "image:%/in.hex:%/out.hex@0x08000f00", "placehold");
	target_refused(p, SPEC ",placeholder=00", "placeholder");
	o[AT + 4095] = 0xfe;
	target_put(p, "in.bin", o, SIZE);
	target_refused(p, SPEC, "placeholder");
	target_round(p, SPEC ",size=4095");
	memset(o + AT, 0xa5, 4096);
	for (int i = 1; i < 4096; i += 2)
		o[AT + i] = 0x5a;
	target_put(p, "in.bin", o, SIZE);
	target_round(p, SPEC ",placeholder=A55a");
	assert_int_equal(target_files(p), 3);
}

static void
truncated_image_is_refused_before_a_key_is_released(void **state)
{
	struct target_place *p = *state;
	struct buf hex = {.max = 1 << 20};
	unsigned char o[SIZE];
	size_t len;

	place_images(p, o);
	target_put(p, "in.bin", o, AT + 4095);
	target_refused(p, SPEC, "truncated");
	target_put(p, "in.bin", o, 0);
	target_refused(p, SPEC, "truncated");
	target_refused(p, "image:%/in.hex:%/out@0x0", "truncated");
	target_get(p, "in.hex", &hex);
	for (len = 1; len < hex.len - 2; len += 37) {
		target_put(p, "cut.hex", hex.p, len);
		target_refused(p, "image:%/cut.hex:%/out.hex@0x08001000", "");
	}
	buf_free(&hex);
}

static void
broken_intel_hex_is_refused_by_its_line(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
	    {":00000001FE\n", "line 1"},
	    {":00000001F\n", "line 1"},
	    {"00000001FF\n", "line 1"},
	    {":0000000\x01" "FF\n", "line 1"},
	    {":01000000AA55\n:01000000AA55\n:00000001FF\n", "twice"},
	    {":01000000AA55\n:02000000AA00\n", "line 2"},
	    {":00000001FF\n:01000000AA55\n", "line 2"},
	    {":02FFFF000102FD\n:00000001FF\n", "line 1"},
	    {":00000006FA\n:00000001FF\n", "line 1"},
	    {":0100000400FB\n:00000001FF\n", "line 1"},
	    {":01000000AA55\n", "no end record"},
	    {"", "no end record"},
	};
	struct image *img = NULL;
	struct buf text;
	struct detail d;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++) {
		text = (struct buf){.max = 1024};
		d.text[0] = '\0';
		assert_int_equal(buf_str(&text, bad[i].text), ERR_OK);
		assert_case(image_parse(IMAGE_HEX, &text, &img, &d) ==
				ERR_REQUEST, bad[i].text);
		assert_null(img);
		assert_case(strstr(d.text, bad[i].why) != NULL, bad[i].text);
	}
}

static void
checksum_of_another_range_is_refused(void **state)
{
	struct target_place *p = *state;
	unsigned char o[SIZE];

	place_images(p, o);
	o[SIZE - 1] = 0x12;
	target_put(p, "in.bin", o, SIZE);
	target_refused(p, SPEC SUM, "own checksum");
	target_refused(p, SPEC ",crc32=0x2ffc:0x0+0x2ffd", "apart");
	target_refused(p, SPEC ",crc32=0x1ffe:0x0+0x100", "apart");
	target_refused(p, SPEC ",crc32=0x3000:0x0+0x100", "outside");
	target_refused(p, SPEC ",crc32=0x2ffc:0x3000+0x1", "outside");
	target_refused(p, SPEC ",crc32=0x2ffc:0x0+0x0", "0xAT");
	target_refused(p, SPEC SUM ",crc32be=0x2ffc:0x0+0x2ffc", "exclude");
}

static void
octet_changed_anywhere_in_the_output_is_never_proven(void **state)
{
	struct target_place *p = *state;
	struct target *t;
	struct secret back = {0};
	struct buf got = {.max = 1 << 20};
	unsigned char o[SIZE];
	enum err e;
	size_t i;

	place_images(p, o);
	target_round(p, SPEC SUM);
	t = target_at(p, SPEC SUM);
	target_get(p, "out.bin", &got);
	for (i = 0; i < SIZE; i += i > AT && i < AT + 300 ? 1 : 97) {
		got.p[i] ^= 4;
		target_put(p, "out.bin", got.p, got.len);
		got.p[i] ^= 4;
		e = target_read(t, ONE, &back, NULL);
		/* within the record the burn compares */
		if (e == ERR_OK)
			assert_memory_not_equal(back.p, p->one.p, p->one.len);
		assert_true(e == ERR_RECORD || i >= AT);
	}
	for (i = 0; i < SIZE; i += 211) {
		target_put(p, "out.bin", got.p, i);
		assert_int_equal(target_read(t, ONE, &back, NULL), ERR_RECORD);
	}
	secret_free(&back);
	buf_free(&got);
	target_close(&t);
}

static void
full_disk_at_any_call_leaves_what_was_there(void **state)
{
	struct target_place *p = *state;
	unsigned char o[SIZE];

	place_images(p, o);
	target_full_disk(p, SPEC);
	target_full_disk(p, "image:%/in.hex:%/{device_id}.hex@0x08001000");
}

static void
image_of_another_unit_is_not_lost_unasked(void **state)
{
	struct target_place *p = *state;
	struct target *t;
	unsigned char o[SIZE];

	place_images(p, o);
	target_not_lost(p, SPEC, "out.bin");
	t = target_at(p, "image:%/in.bin:%/in.bin@0x1000");
	assert_int_equal(target_write(t, ONE, &p->one, NULL), ERR_REQUEST);
	target_close(&t);
}

static void
slot_too_small_for_the_record_is_refused(void **state)
{
	struct target_place *p = *state;
	struct target *t;
	struct detail d = {""};
	unsigned char o[SIZE];

	place_images(p, o);
	t = target_at(p, SPEC ",size=200");
	assert_int_equal(target_write(t, ONE, &p->one, &d), ERR_TOO_LARGE);
	assert_non_null(strstr(d.text, "larger size="));
	target_close(&t);
	assert_int_equal(target_files(p), 2);
}

static void
places_that_mean_nothing_are_refused(void **state)
{
	struct target_place *p = *state;
	unsigned char o[SIZE];

	place_images(p, o);
	target_refused(p, "image:", "image:IN:OUT@");
	target_refused(p, "image:%/in.bin@0x1000", "image:IN:OUT@");
	target_refused(p, "image:%/in.bin:%/out.bin", "image:IN:OUT@");
	target_refused(p, "image:%/in.bin:%/out.bin@1x", "image:IN:OUT@");
	target_refused(p, "image:%/in.bin:a:b@0x10", "image:IN:OUT@");
	target_refused(p, "image:%/none.bin:%/out.bin@0x1000", "No such file");
	target_refused(p, "image:%/in.bin:%/no/out.bin@0x1000", "No such file");
	target_refused(p, "image:%/in.bin:%/@0x1000", "names no file");
	target_refused(p, SPEC ",size=10", "size=");
	target_refused(p, SPEC ",format=elf", "raw or hex");
	target_refused(p, SPEC ",placeholder=f", "16 octets");
	target_refused(p, SPEC ",replace=maybe", "replace=");
}

#define CASE(f) TARGET_CASE(f)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    CASE(record_fills_its_slot_and_nothing_else_changes),
	    CASE(intel_hex_holds_what_the_raw_image_holds),
	    CASE(checksum_is_made_right_in_either_byte_order),
	    CASE(region_without_the_placeholder_is_never_overwritten),
	    CASE(truncated_image_is_refused_before_a_key_is_released),
	    CASE(broken_intel_hex_is_refused_by_its_line),
	    CASE(checksum_of_another_range_is_refused),
	    CASE(octet_changed_anywhere_in_the_output_is_never_proven),
	    CASE(full_disk_at_any_call_leaves_what_was_there),
	    CASE(image_of_another_unit_is_not_lost_unasked),
	    CASE(slot_too_small_for_the_record_is_refused),
	    CASE(places_that_mean_nothing_are_refused),
	};

	return cmocka_run_group_tests_name("target image", tests, NULL, NULL);
}
