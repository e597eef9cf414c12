#include "lib/model/order.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"

#define REPEATS_MAX 1024 /* product of a pattern's bounds */
#define QUANTIFIERS_MAX 12

static const char *const reburns[] = {"never", "until-confirmed",
				      "new-epoch-with-approval"};
static const char *const on_clones[] = {"report", "suspend"};
static const char *const group_kinds[] = {"model", "order", "station", "free"};

const char *
reburn_name(enum reburn r)
{
	return (unsigned)r <= REBURN_APPROVAL ? reburns[r] : "unknown";
}

enum err
reburn_parse(const char *s, enum reburn *out)
{
	int i = name_find(reburns, REBURN_APPROVAL + 1, s);

	if (i < 0)
		return ERR_REQUEST;
	*out = (enum reburn)i;
	return ERR_OK;
}

const char *
on_clone_name(enum on_clone c)
{
	return (unsigned)c <= CLONE_SUSPEND ? on_clones[c] : "unknown";
}

enum err
on_clone_parse(const char *s, enum on_clone *out)
{
	int i = name_find(on_clones, CLONE_SUSPEND + 1, s);

	if (i < 0)
		return ERR_REQUEST;
	*out = (enum on_clone)i;
	return ERR_OK;
}

const char *
group_kind_name(enum group_kind k)
{
	return (unsigned)k <= GROUP_FREE ? group_kinds[k] : "unknown";
}

enum err
group_kind_parse(const char *s, enum group_kind *out)
{
	int i = name_find(group_kinds, GROUP_FREE + 1, s);

	if (i < 0)
		return ERR_REQUEST;
	*out = (enum group_kind)i;
	return ERR_OK;
}

/*
 * The C library unrolls {m,n}, so nested bounds of a short pattern could take
 * all memory; back references could take for ever. Neither is needed here.
 */
static int
pattern_is_cheap(const char *p)
{
	unsigned long n, product = 1;
	int quantifiers = 0;
	const char *end;
	char *after;

	for (; *p != '\0'; p++) {
		if (*p < 0x20 || *p > 0x7e)
			return 0;
		if (*p == '\\' && p[1] >= '0' && p[1] <= '9')
			return 0;
		if (*p == '\\' && p[1] != '\0') {
			p++;
			continue;
		}
		/* one on another doubles the work, a "+" the memory too */
		if (strchr("*+?{", *p) != NULL &&
		    (++quantifiers > QUANTIFIERS_MAX ||
		     (p[1] != '\0' && strchr("*+?{", p[1]) != NULL)))
			return 0;
		if (*p == '+' && (product *= 2) > REPEATS_MAX)
			return 0;
		if (*p != '{')
			continue;
		end = strchr(p, '}');
		if (end == NULL || p[1] < '0' || p[1] > '9')
			return 0;
		n = strtoul(p + 1, &after, 10);
		if (*after == ',' && after[1] != '}')
			n = strtoul(after + 1, &after, 10);
		if (n > REPEATS_MAX || (product *= n > 0 ? n : 1) > REPEATS_MAX)
			return 0;
		if (end[1] != '\0' && strchr("*+?{", end[1]) != NULL)
			return 0;
	}
	return 1;
}

static enum err
pattern_compile(const char *pattern, regex_t *re)
{
	char whole[160];
	int n;

	if (*pattern == '\0' || strlen(pattern) > 128 ||
	    !pattern_is_cheap(pattern))
		return ERR_REQUEST;
	n = snprintf(whole, sizeof(whole), "^(%s)$", pattern);
	if (n < 0 || (size_t)n >= sizeof(whole))
		return ERR_REQUEST;
	return regcomp(re, whole, REG_EXTENDED) == 0 ? ERR_OK : ERR_REQUEST;
}

enum err
order_check_serial(const struct order *o, const char *serial)
{
	regmatch_t m;
	regex_t re;
	int hit;

	/* The serial's own alphabet has neither NUL nor newline. */
	if (!name_is_serial(serial) ||
	    pattern_compile(o->serial_pattern, &re) != ERR_OK)
		return ERR_SERIAL_PATTERN;
	/*
	 * Extent checked as well: "a)|(b" would slip out of the anchors. The
	 * match is the leftmost longest, so it is whole if any is.
	 */
	hit = regexec(&re, serial, 1, &m, 0) == 0 && m.rm_so == 0 &&
	      (size_t)m.rm_eo == strlen(serial);
	regfree(&re);
	return hit ? ERR_OK : ERR_SERIAL_PATTERN;
}

static const char *
place(char *out, size_t size, const char *width, uint32_t n)
{
	uint64_t w = 1;

	if (width != NULL && (parse_u64(width, 10, &w) != ERR_OK || w == 0))
		return NULL;
	(void)snprintf(out, size, "%0*u", (int)w, n);
	return out;
}

/* The text of one placeholder (without its braces), or NULL. */
static const char *
expand(const struct order *o, const char *word, const char *serial, uint32_t n,
       char *num, size_t size)
{
	if (strcmp(word, "serial") == 0)
		return serial;
	if (strcmp(word, "model") == 0)
		return o->model;
	if (strcmp(word, "order") == 0)
		return o->name;
	if (strcmp(word, "n") == 0)
		return place(num, size, NULL, n);
	if (strncmp(word, "n:", 2) == 0)
		return place(num, size, word + 2, n);
	return NULL;
}

/* The placeholder at *t (behind its brace) into word; *t moves behind it. */
static int
take_word(const char **t, char word[16])
{
	size_t n = strcspn(*t, "}");

	if ((*t)[n] != '}' || n == 0 || n >= 16)
		return 0;
	memcpy(word, *t, n);
	word[n] = '\0';
	*t += n + 1;
	return 1;
}

enum err
order_device_id(const struct order *o, const char *serial, uint32_t n,
		name_t out)
{
	const char *t = o->id_template, *part;
	char one[2] = "", num[16], word[16];
	size_t len = 0, plen;
	name_t id;

	while (*t != '\0') {
		one[0] = *t++;
		part = one;
		if (one[0] == '{')
			part = take_word(&t, word) ? expand(o, word, serial, n,
							    num, sizeof(num))
						   : NULL;
		plen = part == NULL ? 0 : strlen(part);
		if (part == NULL || plen > NAME_MAX_LEN - len)
			return ERR_NAME;
		memcpy(id + len, part, plen);
		len += plen;
	}
	id[len] = '\0';
	if (!name_is_device_id(id))
		return ERR_NAME;
	memcpy(out, id, len + 1);
	return ERR_OK;
}

static int
stations_ok(const struct order *o, struct detail *d)
{
	uint32_t i;

	if (o->nstations > ORDER_STATIONS_MAX) {
		detail_set(d, "stations: at most %d", ORDER_STATIONS_MAX);
		return 0;
	}
	for (i = 0; i < o->nstations; i++) {
		if (!name_is_order(o->stations[i])) {
			detail_set(d, "stations[%u]: not a caller's name", i);
			return 0;
		}
	}
	return 1;
}

static int
peers_ok(const struct order *o, struct detail *d)
{
	uint32_t i, j;

	if (o->npeers > ORDER_PEERS_MAX) {
		detail_set(d, "peers: at most %d", ORDER_PEERS_MAX);
		return 0;
	}
	for (i = 0; i < o->npeers; i++) {
		if (!name_is_audience(o->peers[i]) ||
		    strcmp(o->peers[i], AUDIENCE_AUTHORITY) == 0) {
			detail_set(d, "peers[%u]: not an audience's name", i);
			return 0;
		}
		for (j = 0; j < i; j++) {
			if (strcmp(o->peers[i], o->peers[j]) == 0) {
				detail_set(d, "peers[%u]: named twice", i);
				return 0;
			}
		}
	}
	return 1;
}

/* Tries the template on the shortest values; it must tell units apart. */
static int
template_ok(const struct order *o)
{
	struct order probe = {.name = "o", .model = "m"};
	name_t id;

	memcpy(probe.id_template, o->id_template, sizeof(probe.id_template));
	if (strstr(o->id_template, "{serial}") == NULL &&
	    strstr(o->id_template, "{n}") == NULL &&
	    strstr(o->id_template, "{n:") == NULL)
		return 0;
	return order_device_id(&probe, "s", 1, id) == ERR_OK;
}

static int
pattern_ok(const struct order *o)
{
	regex_t re;

	if (pattern_compile(o->serial_pattern, &re) != ERR_OK)
		return 0;
	regfree(&re);
	return 1;
}

static enum err
wrong(struct detail *d, enum err e, const char *what)
{
	detail_set(d, "%s", what);
	return e;
}

enum err
order_validate(const struct order *o, struct detail *d)
{
	if (!name_is_order(o->name))
		return wrong(d, ERR_NAME, "name: 1 to 64 of A-Za-z0-9._-");
	if (!name_is_order(o->model))
		return wrong(d, ERR_NAME, "model: 1 to 64 of A-Za-z0-9._-");
	if (o->quantity < 1 || o->quantity > ORDER_QUANTITY_MAX)
		return wrong(d, ERR_REQUEST, "quantity: 1 to 100000000");
	if (o->expires_at <= 0)
		return wrong(d, ERR_REQUEST, "expires_at: a time to come");
	if ((unsigned)o->reburn > REBURN_APPROVAL)
		return wrong(d, ERR_REQUEST, "reburn: not a policy");
	if ((unsigned)o->on_clone > CLONE_SUSPEND)
		return wrong(d, ERR_REQUEST, "on_clone: not a policy");
	if (!proof_suffices(o->min_proof, PROOF_MEDIUM))
		return wrong(d, ERR_REQUEST,
			     "min_proof: medium, device or device-made");
	if (!pattern_ok(o))
		return wrong(
		    d, ERR_REQUEST,
		    "serial_pattern: no (or too "
		    "costly a) POSIX extended regular expression of 1 to 128");
	if (!template_ok(o))
		return wrong(d, ERR_REQUEST,
			     "id_template: text with {serial} "
			     "or {n}, and {model}, {order}, {n:WIDTH}");
	if (o->scope[0] != '\0' && !name_is_scope(o->scope))
		return wrong(d, ERR_REQUEST,
			     "scope: scope tokens, one space "
			     "between them");
	return stations_ok(o, d) && peers_ok(o, d) ? ERR_OK : ERR_REQUEST;
}
