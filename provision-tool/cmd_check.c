#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/opt.h"
#include "provision-tool/cmd.h"
#include "provision-tool/disk_time.h"
#include "provision-tool/line_int.h"
#include "provision-tool/tell.h"

#define CLOCK_OFF_MAX 60 /* seconds */

struct check_opts {
	int help;
	uint64_t slots;
	struct station st;
};

#define AT(member) offsetof(struct check_opts, member)
static const struct opt options[] = {
    STATION_OPTIONS(check_opts),
    {"slots", 'n', OPT_NUMBER, "N", "slots whose targets are looked at",
     AT(slots), LINE_SLOTS_MAX, "1"},
    {"help", 'h', OPT_FLAG, NULL, "this text", AT(help), 0, NULL},
};
static const struct cmd self = {
    .name = "check",
    .synopsis = "--order ORDER [--target KIND:WHERE]",
    .options = options,
    .noptions = sizeof(options) / sizeof(options[0]),
};

/* What has been found so far; the worst of it is the exit code. */
struct shift {
	const struct check_opts *o;
	int refused, again;
};

static void
good(const char *what, const struct detail *d)
{
	(void)printf("%-10s ok: %s\n", what, d->text);
}

static void
bad(struct shift *s, const char *what, enum err e, const struct detail *d)
{
	(void)printf("%-10s NOT OK: %s%s%s (%s)\n", what, err_text(e),
		     d->text[0] == '\0' ? "" : ": ", d->text, err_code(e));
	if (err_retryable(e))
		s->again = 1;
	else
		s->refused = 1;
}

static void
check_order(struct shift *s, const struct order *o)
{
	struct detail d = {""};
	int64_t left = o->expires_at - clock_wall_s(&clock_system);
	uint32_t places = station_places_left(o);

	detail_set(&d, "%" PRIu32 " of %" PRIu32 " places left, %" PRId64
		       " h %" PRId64 " min", places, o->quantity,
		   left / 3600, left / 60 % 60);
	if (o->closed)
		bad(s, "order", ERR_ORDER_CLOSED, &d);
	else if (left <= 0)
		bad(s, "order", ERR_ORDER_EXPIRED, &d);
	else if (places == 0)
		bad(s, "order", ERR_ORDER_FULL, &d);
	else
		good("order", &d);
}

/* To the second: that is what HTTP says. */
static void
check_clock(struct shift *s, int64_t theirs)
{
	struct detail d = {""};
	int64_t off = clock_wall_s(&clock_system) - theirs;

	if (theirs == 0) {
		detail_set(&d, "the authority's answer has no date");
		bad(s, "clock", ERR_INTERNAL, &d);
		return;
	}
	detail_set(&d, "%" PRId64 " s %s the authority's", off < 0 ? -off : off,
		   off < 0 ? "behind" : "ahead of");
	if (off > CLOCK_OFF_MAX || off < -CLOCK_OFF_MAX)
		bad(s, "clock", ERR_CONFIG, &d);
	else
		good("clock", &d);
}

static void
check_authority(struct shift *s)
{
	struct order *o = calloc(1, sizeof(*o));
	struct client *c = NULL;
	struct detail d = {""};
	const char *step = "authority";
	enum err e = ERR_NOMEM;

	if (o != NULL &&
	    (e = station_client(&s->o->st, 2, &c, &step, &d)) == ERR_OK) {
		step = "authority";
		e = station_order(&s->o->st, c, o, &d);
	}
	if (e != ERR_OK) {
		bad(s, step, e, &d);
	} else {
		detail_set(&d, "%.150s takes this station", s->o->st.url);
		good("authority", &d);
		check_order(s, o);
		check_clock(s, client_date(c));
	}
	client_free(&c);
	free(o);
}

static void
check_target(struct shift *s, struct slot *slots, unsigned number)
{
	const struct line_conf conf = {.st = &s->o->st};
	struct target *t = NULL;
	struct detail d = {""};
	char what[24];
	enum err e;

	(void)snprintf(what, sizeof(what), "target %u", number);
	e = line_name_slot(&conf, slots, number, &t, &d);
	if (e == ERR_OK)
		e = target_ready(t, &d);
	if (e == ERR_OK) {
		detail_set(&d, "%.150s, proof %s", target_name(t),
			   proof_name(target_proof(t)));
		good(what, &d);
	} else {
		bad(s, what, e, &d);
	}
	target_close(&t);
}

static void
check_targets(struct shift *s)
{
	const struct detail none = {""};
	struct slot *slots;
	unsigned i;

	if (s->o->st.target == NULL)
		return;
	if ((slots = calloc(s->o->slots, sizeof(*slots))) == NULL)
		bad(s, "target", ERR_NOMEM, &none);
	for (i = 1; slots != NULL && i <= s->o->slots; i++)
		check_target(s, slots, i);
	free(slots);
}

static void
check_journal(struct shift *s)
{
	struct journal *j = NULL;
	struct detail d = {""};
	char room[PATH_MAX];
	const char *dir = station_folder(&s->o->st, room, sizeof(room), &d);
	uint64_t ns = 0;
	enum err e;

	e = station_journal(&s->o->st, &j, &d);
	if (e == ERR_OK)
		e = disk_time(dir, &ns, &d);
	if (e == ERR_OK) {
		detail_set(&d, "%.120s, fsync %.2f ms", dir,
			   (double)ns / 1e6);
		good("journal", &d);
	} else {
		bad(s, "journal", e, &d);
	}
	journal_close(&j);
}

int
cmd_check(int argc, char **argv)
{
	struct check_opts o = {0};
	struct shift s = {.o = &o};
	int code;

	if ((code = cmd_options(&self, argc, argv, &o, &o.help)) != GO_ON)
		return code;
	if (station_fault(&o.st) != NULL)
		return cmd_usage(&self, station_fault(&o.st));
	if (o.slots == 0)
		return cmd_usage(&self, "there is at least one slot");
	check_authority(&s);
	check_targets(&s);
	check_journal(&s);
	if (s.refused)
		return REFUSED;
	return s.again ? TRY_AGAIN : DONE;
}
