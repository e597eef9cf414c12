/*
 * A unit's label: its QR code says serial number and device_id and no more,
 * read back out of the image, module by module; a failed write leaves nothing.
 */
#include "tests/unit/unit.h"

#include <png.h>
#include <qrencode.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "provision-tool/label.h"

#define SCALE 4
#define QUIET 4

static const struct device unit = {.serial = "SN:2026/0+17",
    .device_id = "m1-17"};
static const char says[] = "fealty:m1-17?serial=SN:2026/0+17";

struct picture {
	unsigned char *grey;
	size_t wide, high;
};

static struct picture
decode(const struct buf *b)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	struct picture p;

	assert_true(png_image_begin_read_from_memory(&image, b->p, b->len));
	image.format = PNG_FORMAT_GRAY;
	p.grey = malloc(PNG_IMAGE_SIZE(image));
	assert_non_null(p.grey);
	assert_true(png_image_finish_read(&image, NULL, p.grey, 0, NULL));
	p.wide = image.width;
	p.high = image.height;
	return p;
}

static int
dark(const struct picture *p, size_t x, size_t y)
{
	return p->grey[y * p->wide + x] < 128;
}

static void
the_image_holds_the_code_and_a_quiet_zone(void **state)
{
	struct buf b = {.max = LABEL_MAX};
	QRcode *want = QRcode_encodeString8bit(says, 0, QR_ECLEVEL_M);
	size_t x, y, n, side;
	struct picture p;

	assert_non_null(want);
	assert_int_equal(label_png(&unit, &b), ERR_OK);
	p = decode(&b);
	n = (size_t)want->width;
	side = (n + (size_t)2 * QUIET) * SCALE;
	assert_true(p.wide >= side && p.high > side);
	for (y = 0; y < side; y++) {
		for (x = 0; x < side; x++) {
			size_t mx = x / SCALE, my = y / SCALE;
			int in = mx >= QUIET && mx < n + QUIET &&
			    my >= QUIET && my < n + QUIET;

			assert_int_equal(dark(&p, x, y), in &&
			    (want->data[(my - QUIET) * n + mx - QUIET] & 1));
		}
	}
	free(p.grey);
	QRcode_free(want);
	buf_free(&b);
}

/* What a person reads: two lines below the code, each letter there. */
static void
serial_and_device_id_stand_below_it(void **state)
{
	struct device other = unit;
	struct buf a = {.max = LABEL_MAX}, b = {.max = LABEL_MAX};
	struct picture p, q;
	size_t i, differ = 0, ink = 0, from;

	assert_int_equal(label_png(&unit, &a), ERR_OK);
	other.serial[0] = 'X';
	assert_int_equal(label_png(&other, &b), ERR_OK);
	p = decode(&a);
	q = decode(&b);
	assert_true(p.wide == q.wide && p.high == q.high);
	from = p.wide * (p.high - 2 * 18 - 16);
	for (i = from; i < p.wide * p.high; i++) {
		ink += p.grey[i] < 128;
		differ += p.grey[i] != q.grey[i];
	}
	assert_true(ink > 17 * 5);
	assert_true(differ > 0 && differ < 12 * 16);
	free(p.grey);
	free(q.grey);
	buf_free(&a);
	buf_free(&b);
}

static void
names_of_the_greatest_length_fit(void **state)
{
	struct buf b = {.max = LABEL_MAX};
	struct device dev = {.dn = 1};
	char text[LABEL_TEXT_MAX];

	memset(dev.serial, 'W', NAME_MAX_LEN);
	memset(dev.device_id, 'z', NAME_MAX_LEN);
	label_text(&dev, text);
	assert_int_equal(strlen(text), 15 + 2 * NAME_MAX_LEN);
	assert_int_equal(label_png(&dev, &b), ERR_OK);
	buf_reset(&b);
	assert_int_equal(label_zpl(&dev, &b), ERR_OK);
	buf_free(&b);
}

static void
the_printers_language_has_its_own_command_for_the_code(void **state)
{
	struct buf b = {.max = LABEL_MAX};

	assert_int_equal(label_zpl(&unit, &b), ERR_OK);
	assert_memory_equal(b.p, "^XA", 3);
	assert_non_null(strstr(b.p, "^BQN,2,5^FDMA,"));
	assert_non_null(strstr(b.p, says));
	assert_non_null(strstr(b.p, "^FDSN SN:2026/0+17^FS"));
	assert_non_null(strstr(b.p, "^FDID m1-17^FS"));
	assert_non_null(strstr(b.p, "^XZ"));
	buf_free(&b);
}

static void
it_is_written_beside_the_record_or_where_one_says(void **state)
{
	const struct label none = {NULL, NULL}, zpl = {"zpl", NULL};
	char dir[] = "/tmp/label.XXXXXX", target[64], path[64];
	const struct label there = {"png", dir}, gone = {"png", "/nowhere"};
	struct detail d = {""};
	struct stat st;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(target, sizeof(target), "file:%s,form=env", dir);
	assert_int_equal(label_write(&none, target, &unit, &d), ERR_OK);
	assert_int_equal(label_write(&zpl, target, &unit, &d), ERR_OK);
	(void)snprintf(path, sizeof(path), "%s/m1-17.zpl", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(label_write(&there, "exec:cat", &unit, &d), ERR_OK);
	(void)snprintf(path, sizeof(path), "%s/m1-17.png", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(label_write(&gone, target, &unit, &d), ERR_IO);
	assert_non_null(strstr(d.text, "the unit is burned"));
	assert_int_equal(rmdir(dir), 0);
}

static void
folder_with_commas_in_its_name_is_the_record_s_own(void **state)
{
	static const char *const ends[] = {"", ",form=text"};
	const struct label zpl = {"zpl", NULL};
	char top[] = "/tmp/label.XXXXXX", dir[64], target[96], path[96];
	struct detail d = {""};
	size_t i;

	(void)state;
	assert_non_null(mkdtemp(top));
	(void)snprintf(dir, sizeof(dir), "%s/a,b,form=c", top);
	assert_int_equal(mkdir(dir, 0700), 0);
	(void)snprintf(dir, sizeof(dir), "%s/a,b,form=c/d,e", top);
	assert_int_equal(mkdir(dir, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/m1-17.zpl", dir);
	for (i = 0; i < COUNT(ends); i++) {
		(void)snprintf(target, sizeof(target), "file:%s%s", dir,
			       ends[i]);
		assert_int_equal(label_there(&zpl, target, &unit), 0);
		assert_int_equal(label_write(&zpl, target, &unit, &d),
				 ERR_OK);
		assert_int_equal(label_there(&zpl, target, &unit), 1);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(dir), 0);
	*strrchr(dir, '/') = '\0';
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(rmdir(top), 0);
}

static void
what_cannot_be_made_is_said_before_the_burn(void **state)
{
	const struct label jpg = {"jpg", NULL}, png = {"png", NULL};
	const struct label dir = {NULL, "/tmp"}, both = {"png", "/tmp"};

	assert_non_null(label_fault(&jpg, "file:/x"));
	assert_non_null(label_fault(&png, "exec:cat"));
	assert_non_null(label_fault(&dir, "file:/x"));
	assert_null(label_fault(&png, "file:/x"));
	assert_null(label_fault(&both, "exec:cat"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_image_holds_the_code_and_a_quiet_zone),
	    cmocka_unit_test(serial_and_device_id_stand_below_it),
	    cmocka_unit_test(names_of_the_greatest_length_fit),
	    cmocka_unit_test(
		the_printers_language_has_its_own_command_for_the_code),
	    cmocka_unit_test(it_is_written_beside_the_record_or_where_one_says),
	    cmocka_unit_test(
		folder_with_commas_in_its_name_is_the_record_s_own),
	    cmocka_unit_test(what_cannot_be_made_is_said_before_the_burn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
