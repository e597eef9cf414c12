#include "provision-tool/burn_record.h"

#include <stdlib.h>
#include <string.h>

#include "lib/crypt/proof.h"
#include "lib/wire/sealed.h"
#include "provision-tool/answer.h"

/* From here on the record is what the target gives, not what was sent. */
enum err
burn_read_back(struct burn *b)
{
	struct secret back = {0};
	enum err e;

	if ((target_can(b->target) & TARGET_READS) == 0)
		return ERR_OK; /* the record stays what was sent, if any */
	e = target_read(b->target, b->unit.device_id, &back, &b->detail);
	if (e != ERR_OK)
		goto out;
	if (b->record.len > 0 && (b->record.len != back.len ||
				  !ct_equal(b->record.p, back.p, back.len))) {
		detail_set(&b->detail, "read back other than was written");
		e = ERR_RECORD;
		goto out;
	}
	secret_free(&b->record);
	b->record = back;
	return ERR_OK;
out:
	secret_free(&back);
	return e;
}

static enum err
compute_answer(struct burn *b)
{
	return answer_compute(&b->record, b->unit.device_id, b->unit.epoch,
			      b->unit.challenge, b->answer, &b->detail);
}

static enum err
check_sealed(struct burn *b)
{
	struct sealed *s = calloc(1, sizeof(*s));
	enum err e;

	if (s == NULL)
		return ERR_NOMEM;
	e = wire_sealed_decode((const char *)b->record.p, b->record.len, s,
			       &b->detail);
	if (e == ERR_OK && (strcmp(s->device_id, b->unit.device_id) != 0 ||
			    s->epoch != b->unit.epoch)) {
		detail_set(&b->detail, "the record is of another identity");
		e = ERR_RECORD;
	}
	free(s);
	return e;
}

static enum err
prove_made(struct burn *b)
{
	struct proof_message m;
	struct es256_public pub;
	enum err e;

	if ((e = check_sealed(b)) != ERR_OK)
		return e;
	e = proof_message("burn", b->unit.device_id, b->unit.epoch,
			  b->unit.challenge, sizeof(b->unit.challenge), &m);
	if (e == ERR_OK)
		e = target_sign(b->target, m.p, m.len, b->answer, &b->detail);
	if (e == ERR_OK)
		e = target_public_key(b->target, b->unit.device_id, &pub,
				      &b->detail);
	return e == ERR_OK ? proof_check(&pub, &m, b->answer) : e;
}

/*
 * Where the device itself answers, its answer is held against the record as
 * long as that is in hand, and by the authority in any case.
 */
enum err
burn_prove(struct burn *b)
{
	unsigned char answer[32];
	enum err e;

	if (burn_made(b))
		return prove_made(b);
	if ((target_can(b->target) & TARGET_PROVES) == 0)
		return compute_answer(b);
	e = target_prove(b->target, b->unit.device_id, b->unit.challenge,
			 answer, &b->detail);
	if (e == ERR_OK && b->record.len > 0) {
		e = compute_answer(b);
		if (e == ERR_OK && !ct_equal(answer, b->answer, sizeof(answer)))
			e = ERR_PROOF;
	}
	if (e == ERR_OK)
		memcpy(b->answer, answer, sizeof(answer));
	wipe(answer, sizeof(answer));
	return e;
}
