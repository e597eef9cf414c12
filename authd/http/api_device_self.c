#include "authd/http/request.h"
#include "lib/wire/burn.h"

enum err api_device_self(struct req *);
enum err api_device_peers(struct req *);

enum err
api_device_self(struct req *r)
{
	struct device dev;
	json_t *groups;
	uint64_t pos;
	uint32_t i;
	enum err e;

	e = core_device_self(&r->call, r->conn->identity, &dev, &pos);
	if (e != ERR_OK)
		return e;
	groups = json_array();
	for (i = 0; i < dev.ngroups; i++)
		(void)json_array_append_new(groups,
		    json_integer((json_int_t)dev.groups[i]));
	return req_json(r, 200, json_pack("{s:s, s:I, s:s, s:I, s:o, s:I}",
	    "device_id", dev.device_id, "number", (json_int_t)dev.dn,
	    "state", device_state_name(dev.state), "epoch",
	    (json_int_t)dev.epoch, "groups", groups, "position",
	    (json_int_t)pos));
}

enum err
api_device_peers(struct req *r)
{
	struct peer peers[RECORD_PEERS_MAX];
	uint32_t n = 0;
	enum err e;

	e = core_device_peers(&r->call, r->conn->identity, peers, &n);
	if (e != ERR_OK)
		return e;
	return req_json(r, 200, json_pack("{s:s, s:o}", "issuer",
	    core_tenant_issuer(r->call.tenant), "peers",
	    wire_peers_json(peers, n)));
}
