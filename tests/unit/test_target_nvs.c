/*
 * esp-nvs:OUT.bin: the octets that the documented layout asks for, by a
 * second writer and a second reader that know only the layout
 * (tests/check/nvs-image).
 */
#include "tests/unit/target_fixture.h"

#include "lib/base/file.h"
#include "provision-tool/nvs.h"

#define SPEC "esp-nvs:%/out.bin"
#define CSV ",csv=%/v.csv"
#define HEAD "key,type,encoding,value\n"

static const char vendor[] =
	HEAD "wifi,namespace,,\nssid,data,string,\"plant \"\"4\"\", hall\"\n"
	     "a,data,u8,255\nb,data,i8,-128\nc,data,u16,65535\n"
	     "d,data,i16,-1\ne,data,u32,4294967295\nf,data,i32,-2147483648\n"
	     "g,data,u64,18446744073709551615\nh,data,i64,-1\n"
	     "i,data,hex2bin,00FFab\nj,data,base64,AQIDBA==\n"
	     "k,data,binary,raw\nempty,data,string,\n"
	     "two,namespace,,\na,data,u8,0x10\nlong,data,string,\"x\ny\"\n";

static void
sh(const struct target_place *p, const char *fmt, const char *more)
{
	char line[1024];
	int n;

	n = snprintf(line, sizeof(line), "cd '%s' && python3 '%s' %s%s",
		     p->root, CHECKER, fmt, more);
	assert_true(n > 0 && (size_t)n < sizeof(line));
	assert_int_equal(system(line), 0);
}

/* A second writer from the same CSV makes the same octets. */
static void
assert_same_as_checker(struct target_place *p, const char *csv,
		       const char *size)
{
	struct buf ours = {.max = 1 << 20}, its = {.max = 1 << 20};
	char args[200];

	target_put(p, "record", p->one.p, p->one.len);
	(void)snprintf(args, sizeof(args),
		       "make %s %s fealty identity record > due.bin", csv,
		       size);
	sh(p, args, "");
	target_get(p, "out.bin", &ours);
	target_get(p, "due.bin", &its);
	assert_int_equal(ours.len, its.len);
	assert_memory_equal(ours.p, its.p, its.len);
	buf_free(&ours);
	buf_free(&its);
}

static void
partition_is_what_the_layout_says_octet_by_octet(void **state)
{
	struct target_place *p = *state;

	target_round(p, SPEC);
	assert_same_as_checker(p, "-", "0x6000");
	target_put(p, "v.csv", vendor, sizeof(vendor) - 1);
	target_round(p, SPEC CSV ",size=0x3000");
	assert_same_as_checker(p, "v.csv", "0x3000");
	target_round(p, SPEC CSV ",size=0x10000");
	assert_same_as_checker(p, "v.csv", "0x10000");
}

/* The first entries, by hand from the layout. */
static void
first_octets_of_a_partition_are_the_documented_ones(void **state)
{
	static const unsigned char page[13] = {
	    0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff};
	static const unsigned char space[] = {0, 1, 1, 0xff};
	static const unsigned char index[] = {1, 0x48, 1, 0xff};
	struct target_place *p = *state;
	struct buf got = {.max = 1 << 20};
	size_t span = (p->one.len + 31) / 32 + 1;
	const char *e;

	target_round(p, SPEC);
	target_get(p, "out.bin", &got);
	assert_memory_equal(got.p, page, sizeof(page));
	assert_memory_equal(got.p + 64, space, sizeof(space));
	assert_memory_equal(got.p + 72, "fealty\0\0\0\0\0\0\0\0\0\0\x01", 17);
	e = got.p + 96;
	assert_int_equal(e[1], 0x42);
	assert_int_equal(e[2], span);
	assert_memory_equal(e + 8, "identity\0", 9);
	assert_memory_equal(e + 32, p->one.p, p->one.len);
	e += 32 * span;
	assert_memory_equal(e, index, sizeof(index));
	assert_int_equal((unsigned char)e[24], p->one.len & 255);
	assert_int_equal((unsigned char)e[32], 0xff);
	buf_free(&got);
}

static void
second_reader_finds_every_entry(void **state)
{
	struct target_place *p = *state;
	struct buf said = {.max = 1 << 20};

	target_put(p, "v.csv", vendor, sizeof(vendor) - 1);
	target_round(p, SPEC CSV ",namespace=two,key=fid,id-key=fname");
	sh(p, "read out.bin > said", "");
	target_get(p, "said", &said);
	assert_non_null(strstr(said.p, "wifi ssid string 706c616e7420223422"
				       "2c2068616c6c\n"));
	assert_non_null(strstr(said.p, "wifi b i8 -128\n"));
	assert_non_null(strstr(said.p, "wifi g u64 18446744073709551615\n"));
	assert_non_null(strstr(said.p, "wifi i blob 00ffab\n"));
	assert_non_null(strstr(said.p, "wifi j blob 01020304\n"));
	assert_non_null(strstr(said.p, "wifi empty string \n"));
	assert_non_null(strstr(said.p, "two a u8 16\n"));
	assert_non_null(strstr(said.p, "two long string 780a79\n"));
	assert_non_null(strstr(said.p, "two fname string 736e3a31\n"));
	assert_non_null(strstr(said.p, "two fid blob a7"));
	buf_free(&said);
}

/* Whatever is before it: blobs that end at, or one off, the end of a page. */
static void
pages_that_fill_up_anywhere_come_back_whole(void **state)
{
	struct target_place *p = *state;
	struct buf csv = {.max = 1 << 16};
	int n, i;

	for (n = 90; n <= 128; n++) {
		buf_reset(&csv);
		assert_int_equal(buf_str(&csv, HEAD "a,namespace,,\n"),
				 ERR_OK);
		for (i = 0; i < n; i++)
			assert_int_equal(buf_fmt(&csv, "k%d,data,u8,1\n", i),
					 ERR_OK);
		if (n % 2 == 0)
			assert_int_equal(buf_str(&csv, "s,data,string,xyz\n"),
					 ERR_OK);
		target_put(p, "v.csv", csv.p, csv.len);
		target_round(p, SPEC CSV);
		if (n >= 110)
			assert_same_as_checker(p, "v.csv", "0x6000");
	}
	buf_free(&csv);
}

static void
damaged_or_truncated_partition_is_never_proven(void **state)
{
	struct target_place *p = *state;
	struct secret back = {0};
	struct buf got = {.max = 1 << 20};
	struct target *t;
	size_t i, len;

	target_round(p, SPEC);
	t = target_at(p, SPEC);
	target_get(p, "out.bin", &got);
	for (i = 0; i < got.len; i += i < 600 ? 1 : 101) {
		got.p[i] ^= 1;
		target_put(p, "out.bin", got.p, got.len);
		got.p[i] ^= 1;
		assert_int_not_equal(target_read(t, ONE, &back, NULL), ERR_OK);
	}
	for (len = 0; len < got.len; len += 4096) {
		target_put(p, "out.bin", got.p, len);
		assert_int_equal(target_read(t, ONE, &back, NULL), ERR_RECORD);
	}
	target_close(&t);
	buf_free(&got);
	secret_free(&back);
}

static void
full_disk_at_any_call_leaves_what_was_there(void **state)
{
	struct target_place *p = *state;

	target_full_disk(p, SPEC);
	target_full_disk(p, "esp-nvs:%/{device_id}.bin");
}

static void
partition_of_another_unit_is_not_lost_unasked(void **state)
{
	struct target_place *p = *state;

	target_not_lost(p, SPEC, "out.bin");
}

static void
csv_that_cannot_be_merged_is_refused_by_its_line(void **state)
{
	static const struct {
		const char *csv, *why;
	} bad[] = {
	    {"", "header"},
	    {"key,type,encoding\n", "header"},
	    {HEAD "k,data,u8,1\n", "line 2: key \"k\" comes before"},
	    {HEAD "n,namespace,,\nk,data,u8,256\n", "line 3"},
	    {HEAD "n,namespace,,\nk,data,u8,-1\n", "line 3"},
	    {HEAD "n,namespace,,\nk,data,i8,128\n", "line 3"},
	    {HEAD "n,namespace,,\nk,data,i8,-129\n", "line 3"},
	    {HEAD "n,namespace,,\nk,data,u8,\n", "no number"},
	    {HEAD "n,namespace,,\nk,data,u128,1\n", "encoding \"u128\""},
	    {HEAD "n,namespace,,\nk,file,u8,/dev/null\n", "a file takes"},
	    {HEAD "n,namespace,,\nk,blob,u8,1\n", "type is"},
	    {HEAD "n,namespace,,\nk,data,hex2bin,abc\n", "hexadecimal"},
	    {HEAD "n,namespace,,\nk,data,base64,A\n", "base64"},
	    {HEAD "n,namespace,,\nk,data,u8,1,2\n", "four fields"},
	    {HEAD "n,namespace,,\nk,data,string,\"x\n", "open quote"},
	    {HEAD "n,namespace,,\nk,data,string,\"x\"y\n", "four fields"},
	    {HEAD "n,namespace,,\nk,data,u8,1\nk,data,u8,2\n", "twice"},
	    {HEAD "n,namespace,,\nlong567890123456,data,u8,1\n", "15"},
	    {HEAD "long567890123456,namespace,,\n", "15"},
	    {HEAD "n,namespace,,\nk,file,string,/no/such\n", "be read"},
	    {HEAD "fealty,namespace,,\nidentity,data,u8,1\n", "twice"},
	};
	struct target_place *p = *state;
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		target_put(p, "v.csv", bad[i].csv, strlen(bad[i].csv));
		target_refused(p, SPEC CSV, bad[i].why);
	}
}

static void
options_that_cannot_be_met_are_refused(void **state)
{
	struct target_place *p = *state;

	target_refused(p, SPEC ",encrypt=yes", "encrypted NVS");
	target_refused(p, SPEC ",keys=k.bin", "encrypted NVS");
	target_refused(p, SPEC ",size=0x2000", "0x3000");
	target_refused(p, SPEC ",size=0x3001", "0x1000");
	target_refused(p, SPEC ",size=0x200000", "0x100000");
	target_refused(p, SPEC ",key=", "15 characters");
	target_refused(p, SPEC ",namespace=0123456789012345", "15 characters");
	target_refused(p, SPEC ",id-key=identity", "twice");
	target_refused(p, SPEC ",csv=%/none", "cannot be read");
	target_refused(p, "esp-nvs:", "names no file");
	target_refused(p, "esp-nvs:%/no/out.bin", "No such file");
}

#define CASE(f) TARGET_CASE(f)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    CASE(partition_is_what_the_layout_says_octet_by_octet),
	    CASE(first_octets_of_a_partition_are_the_documented_ones),
	    CASE(second_reader_finds_every_entry),
	    CASE(pages_that_fill_up_anywhere_come_back_whole),
	    CASE(damaged_or_truncated_partition_is_never_proven),
	    CASE(full_disk_at_any_call_leaves_what_was_there),
	    CASE(partition_of_another_unit_is_not_lost_unasked),
	    CASE(csv_that_cannot_be_merged_is_refused_by_its_line),
	    CASE(options_that_cannot_be_met_are_refused),
	};

	return cmocka_run_group_tests_name("target nvs", tests, NULL, NULL);
}
