#include "lib/model/device.h"

#define NSTATES DEVICE_STATES
#define NPROOFS (PROOF_DEVICE_MADE + 1)

static const char *const states[NSTATES] = {
    "reserved", "burning", "active", "suspended", "revoked", "erased", "void"};
static const char *const proofs[NPROOFS] = {"none", "device", "medium",
					    "device-made"};

const char *
device_state_name(enum device_state s)
{
	return (unsigned)s < NSTATES ? states[s] : "unknown";
}

enum err
device_state_parse(const char *s, enum device_state *out)
{
	int i = name_find(states, NSTATES, s);

	if (i < 0)
		return ERR_REQUEST;
	*out = (enum device_state)i;
	return ERR_OK;
}

enum err
device_state_refusal(enum device_state s)
{
	switch (s) {
	case DEV_ACTIVE:
		return ERR_OK;
	case DEV_SUSPENDED:
		return ERR_DEVICE_SUSPENDED;
	case DEV_REVOKED:
	case DEV_ERASED:
		return ERR_DEVICE_REVOKED;
	case DEV_RESERVED:
	case DEV_BURNING:
	case DEV_VOID:
		break;
	}
	return ERR_DEVICE_INACTIVE;
}

const char *
proof_name(enum proof p)
{
	return (unsigned)p < NPROOFS ? proofs[p] : "unknown";
}

enum err
proof_parse(const char *s, enum proof *out)
{
	int i = name_find(proofs, NPROOFS, s);

	if (i < 0)
		return ERR_REQUEST;
	*out = (enum proof)i;
	return ERR_OK;
}

/* medium, device, device-made: each says more than the one before. */
static int
proof_rank(enum proof p)
{
	switch (p) {
	case PROOF_MEDIUM:
		return 1;
	case PROOF_DEVICE:
		return 2;
	case PROOF_DEVICE_MADE:
		return 3;
	case PROOF_NONE:
		break;
	}
	return 0;
}

int
proof_suffices(enum proof p, enum proof least)
{
	return proof_rank(p) > 0 && proof_rank(p) >= proof_rank(least);
}

int
device_had_proof(const struct device *d)
{
	return d->state == DEV_ACTIVE || d->state == DEV_SUSPENDED ||
	    d->state == DEV_REVOKED;
}

int
device_epoch_valid(const struct device *d, uint32_t epoch)
{
	return epoch != 0 && (epoch == d->epoch || epoch == d->pending);
}
