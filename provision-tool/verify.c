#include "provision-tool/verify.h"

#include <stdio.h>
#include <string.h>

#include "lib/wire/burn.h"
#include "provision-tool/burn_record.h"

#define ROUNDS 3

static enum err
get_challenge(struct burn *b)
{
	struct buf answer = {.max = BURN_BODY_MAX};
	char path[BURN_PATH_ROOM];
	enum err e;

	b->step = "challenge";
	(void)snprintf(path, sizeof(path), "/v1/devices/%s/verify",
		       b->unit.device_id);
	e = burn_call(b, "GET", path, NULL, &answer);
	if (e == ERR_OK && wire_challenge_decode(answer.p, answer.len,
	    &b->unit.epoch, b->unit.challenge, &b->detail) != ERR_OK)
		e = ERR_INTERNAL; /* the answer's fault */
	buf_free(&answer);
	return e;
}

static enum err
verify_once(struct burn *b)
{
	enum err e;

	if ((e = get_challenge(b)) != ERR_OK)
		return e;
	b->step = "read-back";
	if ((e = burn_read_back(b)) != ERR_OK)
		return e;
	b->step = "prove";
	if ((e = burn_prove(b)) != ERR_OK)
		return e;
	b->step = "verify";
	return burn_send_answer(b, "verify");
}

enum err
burn_verify(struct burn *b, const char *device_id)
{
	enum err e;
	int i;

	if ((e = burn_find_unit(b, device_id)) != ERR_OK)
		return e;
	if (target_can(b->target) == 0) {
		b->step = "target";
		detail_set(&b->detail, "it can neither be read back nor "
			   "answer: give verify= or prove=");
		return ERR_REQUEST;
	}
	/* Whose answer got lost on the way has used its challenge up. */
	e = ERR_CHALLENGE;
	for (i = 0; e == ERR_CHALLENGE && i < ROUNDS; i++) {
		b->detail.text[0] = '\0';
		e = verify_once(b);
		secret_free(&b->record);
		wipe(b->answer, sizeof(b->answer));
	}
	return e;
}
