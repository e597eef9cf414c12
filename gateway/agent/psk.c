#include <stdio.h>
#include <string.h>
#include "gateway/agent/agent.h"
#include "lib/wire/feed.h"
#include "lib/wire/wire.h"

/*
 * POST /psk: the key of an identity, for a broker whose TLS is its own. A
 * key leaves by the Unix socket only, to users that were named. And POST
 * /psk/used, by the same: that a handshake under it has been completed.
 */

enum err
psk_admit(struct req *r)
{
	const struct agent_conf *c = r->door->agent->conf;
	const union MHD_ConnectionInfo *info;
	uid_t uid;

	if (!r->door->is_unix)
		return (ERR_NOT_FOUND);
	info = MHD_get_connection_info(r->mc,
	    MHD_CONNECTION_INFO_CONNECTION_FD);
	if (info == NULL || listen_peer(info->connect_fd, &uid) != 0)
		return (ERR_ROLE);
	for (size_t i = 0; i < c->npsk_uids; i++)
		if (c->psk_uids[i] == uid)
			return (ERR_OK);
	return (ERR_ROLE);
}

/* {"identity": "…", "tls": "1.3" or "1.2"} */
static enum err
decode(struct req *r, struct detail *d)
{
	char tls[8] = "";
	struct jin in;

	jin_open(&in, r->body, r->seen, d);
	jin_str(&in, "identity", r->identity, sizeof(r->identity));
	jin_str(&in, "tls", tls, sizeof(tls));
	if (strcmp(tls, "1.3") == 0)
		r->tls = 13;
	else if (strcmp(tls, "1.2") == 0)
		r->tls = 12;
	else
		jin_fail(&in, ERR_JSON, "member tls: \"1.3\" or \"1.2\"");
	return (jin_done(&in));
}

static enum err
encode(const struct fealty_psk *p, struct buf *out)
{
	struct psk_answer a = {
		.dn = p->device.device_number,
		.epoch = p->device.epoch,
		.ngroups = p->device.ngroups,
		.pos = p->device.position,
	};
	enum err e;

	memcpy(a.key.b, p->key, sizeof(a.key.b));
	(void)snprintf(a.device_id, sizeof(a.device_id), "%s",
	    p->device.device_id);
	for (uint32_t i = 0; i < a.ngroups && i < DEVICE_GROUPS_MAX; i++)
		a.groups[i] = p->device.groups[i];
	e = wire_psk_answer_encode(&a, out);
	wipe(&a, sizeof(a));
	return (e);
}

enum err
psk_run(struct req *r, uint32_t wait_ms)
{
	struct fealty_decision *dec = &r->decision;
	struct detail d = {""};
	struct fealty_psk p;
	enum err e = r->refusal;

	if (e == ERR_OK && r->tls == 0)
		e = decode(r, &d);
	if (e != ERR_OK) {
		answer_error(r, e, d.text);
		return (ERR_OK);
	}
	if (!fealty_psk_find(r->door->agent->gateway, r->identity,
	    strlen(r->identity), r->tls, wait_ms, &p, dec)) {
		if (request_may_wait(r, wait_ms))
			return (ERR_WOULD_BLOCK);
		answer_error(r, err_from_code(dec->code), dec->reason);
		return (ERR_OK);
	}
	e = encode(&p, &r->answer);
	wipe(&p, sizeof(p));
	if (e != ERR_OK) {
		answer_error(r, e, "");
		return (ERR_OK);
	}
	r->err = ERR_OK;
	r->status = 200;
	r->type = "application/json";
	return (ERR_OK);
}

/* {"identity": "…"} */
void
psk_used_run(struct req *r)
{
	struct detail d = {""};
	enum err e = r->refusal;
	struct jin in;
	int told = 0;

	if (e == ERR_OK) {
		jin_open(&in, r->body, r->seen, &d);
		jin_str(&in, "identity", r->identity, sizeof(r->identity));
		e = jin_done(&in);
	}
	if (e == ERR_OK)
		told = fealty_psk_used(r->door->agent->gateway, r->identity,
		    strlen(r->identity));
	if (told == -1) {
		detail_set(&d, "no key of this identity is at hand");
		e = ERR_IDENTITY;
	} else if (told != 0) {
		detail_set(&d, "many first uses are yet to be told");
		e = ERR_BUSY;
	}
	if (e != ERR_OK) {
		answer_error(r, e, d.text);
		return;
	}
	r->err = ERR_OK;
	r->status = 204;
}
