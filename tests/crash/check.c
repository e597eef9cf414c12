/*
 * What has to be true of every unit at any moment, read from the database,
 * the journal and the devices themselves.
 */
#include "tests/crash/station.h"

#include <limits.h>
#include <time.h>
#include <fealty/device_openssl.h>

#include "provision-tool/form.h"

#define STATE_ACTIVE 2
#define FILE_ROOM 65536
#define PATIENCE 60 /* seconds, with an authority that comes up */

/* --- what the devices hold, by readers other than the tool's -------------- */

static size_t
record_plain(const char *octets, size_t len, char *out)
{
	if (len > FEALTY_RECORD_MAX)
		return 0;
	memcpy(out, octets, len);
	return len;
}

static size_t
record_lines(const char *octets, size_t len, char *out)
{
	struct secret in = {0}, record = {0};
	size_t n = 0;

	assert_int_equal(secret_set(&in, octets, len), ERR_OK);
	if (form_decode(form_detect(&in), &in, &record, NULL) == ERR_OK)
		n = record_plain((const char *)record.p, record.len, out);
	secret_free(&in);
	secret_free(&record);
	return n;
}

#define SLOT_AT 0x100
static size_t
record_slot(const char *octets, size_t len, char *out)
{
	const unsigned char *p = (const unsigned char *)octets + SLOT_AT;
	size_t n;

	if (len < SLOT_AT + 2)
		return 0;
	n = (size_t)p[0] << 8 | p[1];
	return n > len - SLOT_AT - 2 ? 0 :
	    record_plain(octets + SLOT_AT + 2, n, out);
}

/* The one blob of the partition: it begins behind an entry of type 42. */
static size_t
record_blob(const char *octets, size_t len, char *out)
{
	const unsigned char *p = (const unsigned char *)octets;
	size_t at, n;

	for (at = 64; at + 64 < len; at += 32) {
		n = (size_t)p[at + 24] | (size_t)p[at + 25] << 8;
		if (p[at] != 0 && p[at + 1] == 0x42 && n < len - at - 32)
			return record_plain(octets + at + 32, n, out);
	}
	return 0;
}

const struct kind kinds[] = {
    {"file", "file:%", ".cbor", record_plain, 0},
    {"env", "file:%,form=env", ".env", record_lines, 0},
    {"text", "file:%,form=text", ".txt", record_lines, 0},
    {"image", "image:^/image.in:%/{device_id}.bin@0x100,size=1024",
	".bin", record_slot, 0},
    {"esp-nvs", "esp-nvs:%/{device_id}.nvs", ".nvs", record_blob, 0},
    {"exec", "exec:sh ^/device-write,verify=sh ^/device-read", ".dev",
	record_plain, 1},
};
const size_t nkinds = COUNT(kinds);

const struct kind *
kind_find(const char *name)
{
	size_t i;

	for (i = 0; i < nkinds; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

/* What the unit's device holds; 0 for nothing, or nothing whole. */
static int
device_record(const struct station *s, const char *serial,
    struct fealty_record *r, char octets[FEALTY_RECORD_MAX])
{
	static char file[FILE_ROOM];
	char path[CUT_PATH + 64];
	ssize_t len;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s%s/%s%s",
	    s->kind->off_disk ? s->w->dir : s->disk.root,
	    s->kind->off_disk ? "" : "/burned", serial, s->kind->suffix);
	len = file_text(path, file, sizeof(file));
	n = len <= 0 ? 0 : s->kind->record(file, (size_t)len, octets);
	return n > 0 && fealty_record_read(octets, n, r) == FEALTY_OK;
}

/* Does the authority take this device's word? It may have to come up first. */
static int
is_believed(const struct station *s, const struct fealty_record *r)
{
	struct fealty_assertion a = {.life = 60};
	long deadline = process_deadline(PATIENCE);
	char jwt[ASSERTION_ROOM];
	size_t len;
	int status;

	do {
		a.now = time(NULL);
		assert_int_equal(fealty_assertion(&fealty_device_port_openssl,
		    r, &a, jwt, sizeof(jwt), &len), FEALTY_OK);
		status = world_redeem(s->w, jwt);
		if (status == 200 || status == 401 || status == 403)
			return status == 200;
		process_pause();
	} while (process_left(deadline));
	return 0;
}

/* --- what the journal says ------------------------------------------------ */

static void
take_member(const char *line, const char *key, char out[64])
{
	const char *p = strstr(line, key);
	size_t n;

	out[0] = '\0';
	if (p == NULL)
		return;
	p += strlen(key);
	n = strcspn(p, "\"");
	if (n < 64) {
		memcpy(out, p, n);
		out[n] = '\0';
	}
}

/* The unit's last whole line: which step, of which device. */
static void
journal_says(const struct station *s, const char *serial, char step[64],
    char id[64])
{
	static char text[FILE_ROOM];
	char path[CUT_PATH + 128], is[64];
	ssize_t len;
	char *line, *end;

	step[0] = id[0] = '\0';
	(void)snprintf(path, sizeof(path), "%s/var/journal/%s.jsonl",
	    s->disk.root, s->order);
	len = file_text(path, text, sizeof(text));
	for (line = text; len > 0 && line < text + len; line = end + 1) {
		end = memchr(line, '\n', (size_t)(text + len - line));
		if (end == NULL)
			break; /* torn */
		*end = '\0';
		take_member(line, "\"serial\":\"", is);
		if (strcmp(is, serial) != 0 || end[-1] != '}')
			continue;
		take_member(line, "\"step\":\"", step);
		take_member(line, "\"device_id\":\"", id);
	}
}

/* --- findings ------------------------------------------------------------- */

struct row {
	unsigned state, epoch;
	char id[65];
};

/* The rows of a unit that are not void; how many. */
static unsigned
rows_of(const struct station *s, const char *serial, struct row *last)
{
	char key[32], *line = s->w->r.out;
	unsigned n = 0;

	(void)snprintf(key, sizeof(key), "%s|", serial);
	memset(last, 0, sizeof(*last));
	for (; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		n++;
		assert_int_equal(sscanf(line + strlen(key), "%u|%u|%64[^\n]",
		    &last->state, &last->epoch, last->id), 3);
	}
	return n;
}

static int
says(char out[ROOM], const char *serial, const char *what)
{
	(void)snprintf(out, ROOM, "unit %s: %s", serial, what);
	return 1;
}

static int
live_finding(struct station *s, const char *serial, const struct row *row,
    char out[ROOM])
{
	char octets[FEALTY_RECORD_MAX], id[65];
	struct fealty_record r;

	if (!device_record(s, serial, &r, octets))
		return says(out, serial, "live, and no device holds it");
	assert_int_equal(fealty_text_copy(&r.device_id, id, sizeof(id)),
	    FEALTY_OK);
	if (strcmp(id, row->id) != 0 || r.epoch != row->epoch)
		return says(out, serial, "live, the device holds another");
	if (!is_believed(s, &r))
		return says(out, serial, "live, the device has a wrong key");
	return 0;
}

static int
unit_finding(struct station *s, const char *serial, int done, char out[ROOM])
{
	char step[64], id[64];
	struct row row;
	unsigned n = rows_of(s, serial, &row);

	if (n > 1)
		return says(out, serial, "two identities");
	if (n == 1 && row.state == STATE_ACTIVE &&
	    live_finding(s, serial, &row, out))
		return 1;
	journal_says(s, serial, step, id);
	if (step[0] != '\0' && (n == 0 || strcmp(id, row.id) != 0))
		return says(out, serial, "the journal has another identity");
	if (done && (n == 0 || row.state != STATE_ACTIVE))
		return says(out, serial, "burned, and not live");
	if (done && strcmp(step, "confirm") != 0)
		return says(out, serial, "burned, and the journal says less");
	return 0;
}

/* It may have been killed a moment ago, and come up again. */
static void
ask_database(struct world *w, const char *sql)
{
	long deadline = process_deadline(PATIENCE);

	while (world_sql_status(w, sql) != 0) {
		if (!process_left(deadline))
			fail_msg("psql: %s", w->r.err);
		process_pause();
	}
}

int
station_finding(struct station *s, int done, char out[ROOM])
{
	char sql[300 + UNITS_MAX * 20];
	size_t i;
	int n;

	n = snprintf(sql, sizeof(sql), "SELECT serial, state, epoch, "
	    "device_id FROM fealty.device WHERE order_name = '%.64s' AND state <> 6 "
	    "AND serial IN (''", s->order);
	for (i = 0; i < s->nunits; i++)
		n += snprintf(sql + n, sizeof(sql) - (size_t)n, ", '%s'",
		    s->units[i]);
	(void)snprintf(sql + n, sizeof(sql) - (size_t)n, ")");
	ask_database(s->w, sql);
	for (i = 0; i < s->nunits; i++)
		if (unit_finding(s, s->units[i], done, out))
			return 1;
	return 0;
}

int
order_finding(struct world *w, const char *order, char out[ROOM])
{
	char sql[400];

	(void)snprintf(sql, sizeof(sql), "SELECT o.issued, count(d.number), "
	    "count(DISTINCT d.serial) FROM fealty.production_order o "
	    "LEFT JOIN fealty.device d ON d.order_name = o.name AND d.state <> 6 "
	    "WHERE o.name = '%.64s' GROUP BY 1 HAVING o.issued <> "
	    "count(d.number) OR o.issued <> count(DISTINCT d.serial) OR "
	    "o.issued > max(o.quantity)", order);
	ask_database(w, sql);
	if (w->r.out[0] == '\0')
		return 0;
	(void)snprintf(out, ROOM, "order %.64s: issued, made, units: %.100s",
	    order, w->r.out);
	return 1;
}
