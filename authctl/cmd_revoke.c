#include <stdio.h>
#include <string.h>
#include "authctl/ctl.h"
#include "lib/base/clock.h"
#include "lib/base/parse.h"
#include "lib/model/event.h"

/*
 * One revocation in three steps: count what will be hit (a dry run), say so,
 * do it. More than a single device is done only when its number was given
 * with --expect and is still right; authd checks it once more in the
 * transaction.
 */
struct target {
	const char *kind; /* word of docs/api.md */
	const char *id;
	int many; /* needs --expect */
};

static int
parse_target(const char *s, struct target *t)
{
	uint64_t n;

	if (strcmp(s, "tenant") == 0) {
		*t = (struct target){"tenant", "", 1};
		return 0;
	}
	if (strncmp(s, "device:", 7) == 0 && name_is_device_id(s + 7)) {
		*t = (struct target){"device", s + 7, 0};
		return 0;
	}
	if (strncmp(s, "group:", 6) == 0 &&
	    parse_u64(s + 6, UINT32_MAX, &n) == ERR_OK) {
		*t = (struct target){"group", s + 6, 1};
		return 0;
	}
	if (strncmp(s, "token:", 6) == 0 && s[6] != '\0') {
		*t = (struct target){"token", s + 6, 0};
		return 0;
	}
	if (strncmp(s, "caller:", 7) == 0 && name_is_order(s + 7)) {
		*t = (struct target){"caller", s + 7, 0};
		return 0;
	}
	if (strncmp(s, "key:", 4) == 0 && strlen(s + 4) == KID_LEN) {
		*t = (struct target){"signing-key", s + 4, 1};
		return 0;
	}
	return ctl_usage("%s: name device:ID, group:NUMBER, tenant, "
			 "token:JTI, caller:NAME or key:KID",
	    s);
}

/* What is simply dead, and stays so. */
static int
is_word(const struct target *t)
{
	return strcmp(t->kind, "token") == 0 ||
	    strcmp(t->kind, "caller") == 0 ||
	    strcmp(t->kind, "signing-key") == 0;
}

/*
 * A device without --effect is revoked for good. A token is simply dead. What
 * hits many is blocked, since a block can be lifted.
 */
static const char *
effect_of(const struct ctl *ctl, const struct target *t)
{
	if (ctl->args.effect != NULL)
		return ctl->args.effect;
	if (strcmp(t->kind, "device") == 0)
		return NULL;
	return is_word(t) ? "cut" : "block";
}

static json_t *
revocation_body(
    const struct ctl *ctl, const struct target *t, const char *effect)
{
	json_t *o = json_pack(
	    "{s:s, s:s, s:s}", "kind", t->kind, "id", t->id, "effect", effect);

	if (o != NULL && ctl->args.reason != NULL &&
	    json_object_set_new(o, "reason", json_string(ctl->args.reason)) !=
		0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* How many devices it would hit. 0, or an exit code, told. */
static int
count_hit(
    struct ctl *ctl, const struct target *t, const char *effect, uint64_t *hit)
{
	json_t *o, *n;
	int code;

	o = revocation_body(ctl, t, effect == NULL ? "block" : effect);
	if (o == NULL || json_object_set_new(o, "dry_run", json_true()) != 0)
		return ctl_refused("out of memory");
	code = ctl_call(ctl, "POST", o, "/v1/revocations");
	if (code != 0)
		return code;
	o = ctl_answer(ctl);
	if (o == NULL)
		return EXIT_REFUSED;
	n = json_object_get(o, "devices");
	if (json_is_integer(n) && json_integer_value(n) >= 0)
		*hit = (uint64_t)json_integer_value(n);
	else
		code = ctl_refused("the answer does not say how many devices "
				   "are hit");
	json_decref(o);
	return code;
}

static int
check_expect(const struct ctl *ctl, const struct target *t, uint64_t hit)
{
	uint64_t expect;

	if (ctl->args.expect == NULL) {
		if (!t->many || hit == 0)
			return 0;
		return ctl_refused("nothing done: this hits %llu devices; "
				   "repeat with --expect %llu",
		    (unsigned long long)hit, (unsigned long long)hit);
	}
	if (parse_u64(ctl->args.expect, NUMBER_MAX, &expect) != ERR_OK)
		return ctl_usage("--expect %s is no number", ctl->args.expect);
	if (expect != hit)
		return ctl_refused("nothing done: this hits %llu devices, not "
				   "%llu; repeat with --expect %llu",
		    (unsigned long long)hit, (unsigned long long)expect,
		    (unsigned long long)hit);
	return 0;
}

static void
announce(const struct ctl *ctl, const struct target *t, const char *effect,
    uint64_t hit)
{
	/* with --json, standard output is the server's alone */
	FILE *to = ctl->args.json ? stderr : stdout;

	if (strcmp(t->kind, "token") == 0)
		fprintf(to, "token %s will be dead until it expires\n", t->id);
	else if (strcmp(t->kind, "caller") == 0)
		fprintf(to, "caller %s will be dead, for good\n", t->id);
	else if (strcmp(t->kind, "signing-key") == 0)
		fprintf(to, "key %s will be replaced; tokens of %llu devices "
			    "may be under it\n", t->id,
		    (unsigned long long)hit);
	else if (effect == NULL)
		fprintf(to, "device %s will be revoked, for good\n", t->id);
	else
		fprintf(to, "%s %s: %s will hit %llu device%s\n", t->kind,
		    t->id, effect, (unsigned long long)hit,
		    hit == 1 ? "" : "s");
	fflush(to);
}

static int
act(struct ctl *ctl, const struct target *t, const char *effect, uint64_t hit)
{
	json_t *o;

	if (effect == NULL)
		return ctl_call(ctl, "POST", ctl_reason(ctl),
		    "/v1/devices/%s/revoke", t->id);
	o = revocation_body(ctl, t, effect);
	if (o == NULL || (t->many && json_object_set_new(o, "expect",
					 json_integer((json_int_t)hit)) != 0))
		return ctl_refused("out of memory");
	return ctl_call(ctl, "POST", o, "/v1/revocations");
}

static int
report(struct ctl *ctl, int64_t took_ms)
{
	json_t *o, *pos;
	uint64_t at;
	int code = EXIT_DONE;

	o = ctl_answer(ctl);
	if (o == NULL)
		return EXIT_REFUSED;
	pos = json_object_get(o, "pos");
	if (pos == NULL)
		pos = json_object_get(json_object_get(o, "event"), "pos");
	at = (uint64_t)json_integer_value(pos);
	json_decref(o);
	if (ctl->args.json)
		code = ctl_print_json(ctl);
	else
		printf("done at position %llu in %lld ms\n",
		    (unsigned long long)at, (long long)took_ms);
	if (code != EXIT_DONE || ctl->args.wait_ms == 0)
		return code;
	fflush(stdout);
	if (at == 0)
		return ctl_refused("nothing new happened: there is no event "
				   "to wait for");
	return ctl_receipts(ctl, at);
}

int
cmd_revoke(struct ctl *ctl)
{
	struct target t = {"", "", 0};
	const char *effect;
	enum event_effect known;
	uint64_t hit = 0;
	int64_t start;
	int code;

	code = parse_target(ctl->args.pos[0], &t);
	if (code != 0)
		return code;
	effect = effect_of(ctl, &t);
	if (effect != NULL && event_effect_parse(effect, &known) != ERR_OK)
		return ctl_usage("--effect %s: cut, block or lift", effect);
	code = count_hit(ctl, &t, effect, &hit);
	if (code == 0)
		code = check_expect(ctl, &t, hit);
	if (code != 0)
		return code;
	announce(ctl, &t, effect, hit);
	start = clock_mono_ms(&clock_system);
	code = act(ctl, &t, effect, hit);
	if (code != 0)
		return code;
	return report(ctl, clock_mono_ms(&clock_system) - start);
}

#define O(m) offsetof(struct args, m)
const struct opt revoke_options[] = {
    {"expect", 'e', OPT_STRING, "N",
	"how many devices it hits; demanded for a group or tenant", O(expect),
	0, NULL},
    {"effect", 0, OPT_STRING, "EFFECT",
	"cut, block or lift; without it a device is revoked for good and "
	"a group or tenant blocked",
	O(effect), 0, NULL},
    {"reason", 0, OPT_STRING, "TEXT", "why, for the audit log", O(reason), 0,
	NULL},
    {"wait", 'w', OPT_DURATION, "TIME",
	"how long to wait until all gateways say that they enforce it",
	O(wait_ms), 600000, NULL},
    OPTIONS_END,
};
