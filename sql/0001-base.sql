-- Fealty, schema version 1. Run as fealty_owner, in one transaction, by authd.
-- Every primary key starts with the tenant. Every table is under row-level
-- security; the tenant is set per transaction (fealty.tenant). Tenant 0 is the
-- authority itself. Sealed columns are docs/at-rest.md.

-- Nobody but the roles of Fealty has business here; no temporary tables, that
-- could stand in front of real ones.
DO $$
BEGIN
	EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC',
	    current_database());
	EXECUTE format('GRANT CONNECT ON DATABASE %I TO fealty_app',
	    current_database());
END
$$;
CREATE SCHEMA fealty;
GRANT USAGE ON SCHEMA fealty TO fealty_app;
SET LOCAL search_path = fealty, pg_catalog;

CREATE TABLE schema_version (
	version integer PRIMARY KEY,
	applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE schema_version IS
    'Migrations applied; of the database, not of a tenant.';
COMMENT ON COLUMN schema_version.version IS 'number of the file in sql/';
COMMENT ON COLUMN schema_version.applied_at IS 'when';
GRANT SELECT ON schema_version TO fealty_app;

-- The tenant of this transaction; an error when none is set: fail closed.
CREATE FUNCTION current_tenant() RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT pg_catalog.current_setting('fealty.tenant')::bigint $$;
GRANT EXECUTE ON FUNCTION current_tenant() TO fealty_app;

CREATE TABLE tenant (
	tenant bigint PRIMARY KEY CHECK (tenant BETWEEN 0 AND 4294967295),
	name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9-]{1,64}$'),
	created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE tenant IS 'Organisations; tenant 0 is the authority itself.';

CREATE TABLE counter (
	tenant bigint PRIMARY KEY REFERENCES tenant,
	pos bigint NOT NULL DEFAULT 1099511627776
	    CHECK (pos BETWEEN 0 AND 9007199254740991),
	floor bigint NOT NULL DEFAULT 0,
	next_device bigint NOT NULL DEFAULT 1
	    CHECK (next_device BETWEEN 1 AND 9007199254740991),
	next_group bigint NOT NULL DEFAULT 1,
	next_caller bigint NOT NULL DEFAULT 1,
	next_model bigint NOT NULL DEFAULT 1,
	blocked boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE counter IS
    'One row a tenant: its logical clock and its number ranges.';
COMMENT ON COLUMN counter.pos IS
    'position of the newest event, generation * 2^40 + seq';
COMMENT ON COLUMN counter.floor IS
    'all events up to it are older than the longest token life';
COMMENT ON COLUMN counter.blocked IS 'a tenant-wide block holds';

CREATE TABLE event (
	tenant bigint NOT NULL REFERENCES tenant,
	pos bigint NOT NULL,
	kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 6),
	effect smallint NOT NULL CHECK (effect BETWEEN 1 AND 3),
	id text NOT NULL CHECK (length(id) BETWEEN 1 AND 64),
	ep_max bigint NOT NULL DEFAULT 0,
	exp bigint NOT NULL DEFAULT 0,
	at bigint NOT NULL
	    DEFAULT floor(extract(epoch FROM clock_timestamp()))::bigint,
	PRIMARY KEY (tenant, pos)
);
COMMENT ON TABLE event IS
    'Revocations in the order of their positions; append only.';
COMMENT ON COLUMN event.kind IS
    '1 device 2 group 3 tenant 4 token 5 caller 6 signing-key';
COMMENT ON COLUMN event.effect IS '1 cut 2 block 3 lift';
COMMENT ON COLUMN event.id IS 'number as decimal text, jti or kid';
COMMENT ON COLUMN event.ep_max IS 'device: epochs up to this one; 0 all';
COMMENT ON COLUMN event.exp IS 'token: its expiry, unix seconds; else 0';
CREATE INDEX event_id ON event (tenant, kind, id, pos);

CREATE TABLE data_key (
	tenant bigint NOT NULL REFERENCES tenant,
	number bigint NOT NULL,
	kek_id text NOT NULL,
	wrapped bytea NOT NULL,
	uses bigint NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant, number)
);
COMMENT ON TABLE data_key IS
    'AES-256-GCM keys that seal rows, wrapped by the key-encryption key.';
COMMENT ON COLUMN data_key.uses IS
    'seals handed out, reserved in runs; a new key is made before 2^30';

CREATE TABLE secret_key (
	tenant bigint NOT NULL REFERENCES tenant,
	number bigint NOT NULL,
	purpose text NOT NULL CHECK (purpose IN
	    ('psk-id', 'nonce', 'challenge', 'token', 'feed', 'root')),
	kid text NOT NULL,
	data_key bigint NOT NULL,
	sealed bytea NOT NULL,
	public bytea,
	state text NOT NULL DEFAULT 'active'
	    CHECK (state IN ('active', 'retiring', 'revoked')),
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant, number),
	UNIQUE (tenant, purpose, kid),
	FOREIGN KEY (tenant, data_key) REFERENCES data_key
);
COMMENT ON TABLE secret_key IS
    'Keys of the authority (tenant 0: psk-id, nonce, challenge) and of each '
    'tenant (token, feed, root: ES256 scalars).';
COMMENT ON COLUMN secret_key.public IS 'x || y of an ES256 key, 64 octets';
COMMENT ON COLUMN secret_key.kid IS
    'thumbprint of an ES256 key, decimal octet of a psk-id key';

CREATE TABLE device_group (
	tenant bigint NOT NULL REFERENCES tenant,
	number bigint NOT NULL,
	kind smallint NOT NULL CHECK (kind BETWEEN 0 AND 3),
	name text NOT NULL CHECK (name ~ '^[A-Za-z0-9._-]{1,64}$'),
	blocked boolean NOT NULL DEFAULT false,
	PRIMARY KEY (tenant, number),
	UNIQUE (tenant, kind, name)
);
COMMENT ON TABLE device_group IS 'Sets of devices addressed as one.';
COMMENT ON COLUMN device_group.kind IS '0 model 1 order 2 station 3 free';
COMMENT ON COLUMN device_group.blocked IS 'a block holds until a lift';

CREATE TABLE model (
	tenant bigint NOT NULL REFERENCES tenant,
	name text NOT NULL CHECK (name ~ '^[A-Za-z0-9._-]{1,64}$'),
	number bigint NOT NULL,
	device_group bigint NOT NULL,
	data_key bigint,
	master bytea,
	PRIMARY KEY (tenant, name),
	UNIQUE (tenant, number),
	FOREIGN KEY (tenant, device_group) REFERENCES device_group,
	FOREIGN KEY (tenant, data_key) REFERENCES data_key
);
COMMENT ON TABLE model IS
    'Device models; master is the sealed model master key M where root keys '
    'are derived from it.';

CREATE TABLE audience (
	tenant bigint NOT NULL REFERENCES tenant,
	name text NOT NULL CHECK (name ~ '^[a-z0-9.-]{1,64}$'
	    AND name <> 'authority'),
	host text NOT NULL,
	port integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
	retired boolean NOT NULL DEFAULT false,
	PRIMARY KEY (tenant, name)
);
COMMENT ON TABLE audience IS 'Services that devices are peered with.';
COMMENT ON COLUMN audience.retired IS 'no PSK resolves for it any more';

CREATE TABLE caller (
	tenant bigint NOT NULL REFERENCES tenant,
	number bigint NOT NULL,
	name text NOT NULL CHECK (name ~ '^[A-Za-z0-9._-]{1,64}$'),
	role smallint NOT NULL CHECK (role IN (1, 2, 4, 8, 16)),
	credential_hash bytea NOT NULL CHECK (length(credential_hash) = 32),
	audiences text[] NOT NULL DEFAULT '{}',
	disabled boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant, number),
	UNIQUE (tenant, name)
);
COMMENT ON TABLE caller IS 'Stations, gateways, admins, revokers, auditors.';
COMMENT ON COLUMN caller.role IS
    '1 station 2 gateway 4 admin 8 revoker 16 auditor';
COMMENT ON COLUMN caller.credential_hash IS
    'SHA-256 of the credential (256 random bits: no salt needed)';
CREATE UNIQUE INDEX caller_credential ON caller (credential_hash);

CREATE TABLE production_order (
	tenant bigint NOT NULL REFERENCES tenant,
	name text NOT NULL CHECK (name ~ '^[A-Za-z0-9._-]{1,64}$'),
	model text NOT NULL,
	device_group bigint NOT NULL,
	quantity bigint NOT NULL CHECK (quantity BETWEEN 1 AND 100000000),
	issued bigint NOT NULL DEFAULT 0 CHECK (issued BETWEEN 0 AND quantity),
	next_place bigint NOT NULL DEFAULT 1,
	expires_at bigint NOT NULL,
	created_at bigint NOT NULL
	    DEFAULT floor(extract(epoch FROM clock_timestamp()))::bigint,
	closed boolean NOT NULL DEFAULT false,
	derived boolean NOT NULL DEFAULT false,
	reburn smallint NOT NULL CHECK (reburn BETWEEN 0 AND 2),
	min_proof smallint NOT NULL CHECK (min_proof BETWEEN 1 AND 3),
	serial_pattern text NOT NULL,
	id_template text NOT NULL,
	scope text NOT NULL,
	stations text[] NOT NULL,
	peers text[] NOT NULL,
	PRIMARY KEY (tenant, name),
	FOREIGN KEY (tenant, model) REFERENCES model,
	FOREIGN KEY (tenant, device_group) REFERENCES device_group
);
COMMENT ON TABLE production_order IS
    'Production orders. The check on issued is the last word on quantity.';
COMMENT ON COLUMN production_order.next_place IS
    'feeds {n} of the device_id template; never given twice';

CREATE TABLE device (
	tenant bigint NOT NULL REFERENCES tenant,
	number bigint NOT NULL,
	device_id text NOT NULL CHECK (device_id ~ '^[A-Za-z0-9._:-]{1,64}$'),
	serial text NOT NULL,
	order_name text NOT NULL,
	model text NOT NULL,
	state smallint NOT NULL CHECK (state BETWEEN 0 AND 6),
	proof smallint NOT NULL DEFAULT 0 CHECK (proof BETWEEN 0 AND 3),
	epoch bigint NOT NULL DEFAULT 1 CHECK (epoch BETWEEN 1 AND 4294967295),
	station bigint NOT NULL DEFAULT 0,
	created_at bigint NOT NULL
	    DEFAULT floor(extract(epoch FROM clock_timestamp()))::bigint,
	changed_at bigint NOT NULL
	    DEFAULT floor(extract(epoch FROM clock_timestamp()))::bigint,
	PRIMARY KEY (tenant, number),
	FOREIGN KEY (tenant, order_name) REFERENCES production_order
);
COMMENT ON TABLE device IS 'Devices. Numbers are dense per tenant.';
COMMENT ON COLUMN device.state IS
    '0 reserved 1 burning 2 active 3 suspended 4 revoked 5 erased 6 void';
COMMENT ON COLUMN device.proof IS '0 none 1 device 2 medium 3 device-made';
COMMENT ON COLUMN device.station IS
    'caller number of the station its key was released to; 0 none';
-- A void device keeps its row; its names are free again.
CREATE UNIQUE INDEX device_device_id ON device (tenant, device_id)
    WHERE state <> 6;
-- Its successor by the same name begins behind its epochs.
CREATE INDEX device_void ON device (tenant, device_id) WHERE state = 6;
CREATE UNIQUE INDEX device_serial ON device (tenant, order_name, serial)
    WHERE state <> 6;

CREATE TABLE device_key (
	tenant bigint NOT NULL REFERENCES tenant,
	device bigint NOT NULL,
	epoch bigint NOT NULL CHECK (epoch BETWEEN 1 AND 4294967295),
	data_key bigint,
	sealed bytea,
	released bigint NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant, device, epoch),
	FOREIGN KEY (tenant, device) REFERENCES device,
	FOREIGN KEY (tenant, data_key) REFERENCES data_key
);
COMMENT ON TABLE device_key IS
    'Root keys K, one a device and epoch; sealed is NULL where K is derived '
    'from the model master key.';
COMMENT ON COLUMN device_key.released IS 'times it was released to its station';

CREATE TABLE device_member (
	tenant bigint NOT NULL REFERENCES tenant,
	device bigint NOT NULL,
	device_group bigint NOT NULL,
	PRIMARY KEY (tenant, device, device_group),
	FOREIGN KEY (tenant, device) REFERENCES device,
	FOREIGN KEY (tenant, device_group) REFERENCES device_group
);
COMMENT ON TABLE device_member IS 'Which device is in which group, 8 at most.';
CREATE INDEX device_member_group
    ON device_member (tenant, device_group, device);

CREATE TABLE assertion_mark (
	tenant bigint NOT NULL,
	exp bigint NOT NULL,
	device bigint NOT NULL,
	mark bytea NOT NULL CHECK (length(mark) = 16),
	PRIMARY KEY (tenant, exp, device, mark)
);
COMMENT ON TABLE assertion_mark IS
    'Client assertions used, until they expire: one use is a property of '
    'this key. exp is part of what the assertion''s signature covers.';

-- A sequence, not the counter row: audit must not serialise a tenant.
CREATE SEQUENCE audit_number;
GRANT USAGE ON SEQUENCE audit_number TO fealty_app;

CREATE TABLE audit (
	tenant bigint NOT NULL REFERENCES tenant,
	number bigint NOT NULL DEFAULT nextval('fealty.audit_number'),
	at bigint NOT NULL
	    DEFAULT floor(extract(epoch FROM clock_timestamp()))::bigint,
	caller bigint NOT NULL,
	action text NOT NULL,
	object_kind text NOT NULL,
	object text NOT NULL,
	outcome text NOT NULL,
	pos bigint NOT NULL DEFAULT 0,
	request_id text NOT NULL,
	detail text NOT NULL DEFAULT '',
	PRIMARY KEY (tenant, number)
);
COMMENT ON TABLE audit IS
    'Decisions of consequence, each in its own transaction; append only.';

CREATE TABLE instance (
	tenant bigint NOT NULL REFERENCES tenant,
	name text NOT NULL,
	confirmed_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant, name)
);
COMMENT ON TABLE instance IS
    'One row a running authd: its follower confirms here, by a replicated '
    'write, that it talks to the true primary. Tenant 0.';

-- Row-level security, the same for every table but schema_version.
DO $$
DECLARE t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['tenant', 'counter', 'event', 'data_key',
	    'secret_key', 'device_group', 'model', 'audience', 'caller',
	    'production_order', 'device', 'device_key', 'device_member',
	    'assertion_mark', 'audit', 'instance'] LOOP
		EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('CREATE POLICY own_tenant ON %I TO fealty_app '
		    'USING (tenant = current_tenant()) '
		    'WITH CHECK (tenant = current_tenant())', t);
		EXECUTE format('GRANT SELECT ON %I TO fealty_app', t);
	END LOOP;
END
$$;
-- What authd may write; history (event, audit) is append only for it.
GRANT INSERT ON tenant, counter, event, data_key, secret_key, device_group,
    model, audience, caller, production_order, device, device_key,
    device_member, assertion_mark, audit, instance TO fealty_app;
GRANT UPDATE ON counter, audience, production_order, device, device_key,
    device_group, instance TO fealty_app;
GRANT UPDATE (disabled, credential_hash) ON caller TO fealty_app;
GRANT UPDATE (uses, kek_id, wrapped) ON data_key TO fealty_app;
GRANT UPDATE (state) ON secret_key TO fealty_app;
GRANT UPDATE (data_key, master) ON model TO fealty_app;
GRANT DELETE ON assertion_mark, device_member, instance TO fealty_app;

-- The named exceptions to tenant separation, each as narrow as its use.
CREATE FUNCTION caller_by_credential(hash bytea)
RETURNS TABLE (tenant bigint, tenant_name text, number bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = fealty, pg_catalog, pg_temp
AS $$
	SELECT c.tenant, t.name, c.number FROM caller c
	JOIN tenant t ON t.tenant = c.tenant
	WHERE c.credential_hash = hash
$$;
COMMENT ON FUNCTION caller_by_credential(bytea) IS
    'Exception 1: whose credential this is, before a tenant is known.';

CREATE FUNCTION heads()
RETURNS TABLE (tenant bigint, name text, pos bigint, floor bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = fealty, pg_catalog, pg_temp
AS $$
	SELECT t.tenant, t.name, c.pos, c.floor FROM tenant t
	JOIN counter c ON c.tenant = t.tenant
$$;
COMMENT ON FUNCTION heads() IS
    'Exception 2: the follower''s view, names and positions only.';

CREATE FUNCTION next_tenant() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = fealty, pg_catalog, pg_temp
AS $$
	SELECT coalesce(max(tenant), 0) + 1 FROM tenant
$$;
COMMENT ON FUNCTION next_tenant() IS
    'The number for a new tenant; its primary key settles a race.';
REVOKE ALL ON FUNCTION caller_by_credential(bytea), heads(), next_tenant()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION caller_by_credential(bytea), heads(), next_tenant()
    TO fealty_app;

INSERT INTO tenant (tenant, name) VALUES (0, 'fealty-authority');
INSERT INTO counter (tenant) VALUES (0);
INSERT INTO schema_version (version) VALUES (1);
