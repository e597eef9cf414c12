/* Identities and the small parsers: what is taken is the one text of it. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "lib/base/b64url.h"
#include "lib/base/parse.h"
#include "lib/crypt/pskid.h"
#include "lib/model/names.h"
#include "lib/model/order.h"

static const struct key32 key = {{9}};

void
fuzz_pskid(const uint8_t *p, size_t len)
{
	struct pskid id, back;
	char text[PSKID_LEN + 1];
	uint8_t kid;
	uint64_t dn;

	(void)!pskid_kid((const char *)p, len, &kid);
	if (pskid_open(&key, "mqtt", (const char *)p, len, &id) == ERR_OK) {
		PROMISE(pskid_make(&key, "mqtt", &id, text) == ERR_OK);
		PROMISE(len == PSKID_LEN && memcmp(text, p, len) == 0);
		PROMISE(pskid_open(&key, "coap", text, len, &id) != ERR_OK);
	}
	if (len < 17)
		return;
	memcpy(&id.tenant, p, 4);
	memcpy(&dn, p + 4, 8);
	memcpy(&id.epoch, p + 12, 4);
	id.dn = dn;
	id.kid = p[16];
	if (pskid_make(&key, "mqtt", &id, text) != ERR_OK)
		return;
	PROMISE(pskid_open(&key, "mqtt", text, PSKID_LEN, &back) == ERR_OK);
	PROMISE(back.dn == id.dn && back.tenant == id.tenant &&
	    back.epoch == id.epoch && back.kid == id.kid);
	text[len % PSKID_LEN] ^= 1;
	if (len % PSKID_LEN > 1)
		PROMISE(pskid_open(&key, "mqtt", text, PSKID_LEN, &back) !=
		    ERR_OK);
}

static void
octets(const char *s, size_t len)
{
	unsigned char o[1024];
	char text[2048];
	size_t n = sizeof(o);

	if (b64url_decode(s, len, o, &n) == ERR_OK) {
		b64url_encode(o, n, text);
		PROMISE(strlen(text) == len && memcmp(text, s, len) == 0);
	}
	if (len <= 2 * sizeof(o) &&
	    hex_decode_exact(s, len, o, len / 2) == ERR_OK) {
		hex_encode(o, len / 2, text);
		PROMISE(memcmp(text, s, len) == 0);
	}
}

static void
patterns(const char *s)
{
	static struct order o;
	name_t id;

	memset(&o, 0, sizeof(o));
	memcpy(o.name, "o", 2);
	memcpy(o.model, "m", 2);
	if (copy_str(o.serial_pattern, sizeof(o.serial_pattern), s) == ERR_OK)
		(void)!order_check_serial(&o, "SN-1/aaaaaaaaaaaaaaaaaaaaaaa");
	if (copy_str(o.id_template, sizeof(o.id_template), s) == ERR_OK &&
	    order_device_id(&o, "SN-1", 7, id) == ERR_OK)
		PROMISE(name_is_device_id(id));
}

void
fuzz_base(const uint8_t *p, size_t len)
{
	char s[600], again[TIME_TEXT];
	uint64_t v;
	int64_t t;

	if (len >= sizeof(s))
		return;
	octets((const char *)p, len);
	memcpy(s, p, len);
	s[len] = '\0';
	if (parse_time(s, &t) == ERR_OK) {
		format_time(t, again);
		PROMISE(strcmp(again, s) == 0);
	}
	if (parse_u64(s, NUMBER_MAX, &v) == ERR_OK)
		PROMISE(v <= NUMBER_MAX);
	if (parse_duration_ms(s, 1000000, &v) == ERR_OK)
		PROMISE(v <= 1000000);
	(void)name_is_host(s);
	(void)name_is_scope(s);
	patterns(s);
}
