-- Fealty, schema version 7: tickets, identities that a station takes along to
-- where there is no network. Run as fealty_owner, in one transaction, by
-- authd.
SET LOCAL search_path = fealty, pg_catalog;

CREATE TABLE ticket (
	tenant bigint NOT NULL REFERENCES tenant,
	id text NOT NULL CHECK (id ~ '^[A-Za-z0-9_-]{22}$'),
	order_name text NOT NULL,
	station bigint NOT NULL,
	station_key bytea NOT NULL CHECK (length(station_key) = 64),
	units bigint NOT NULL CHECK (units BETWEEN 1 AND 250),
	expires_at bigint NOT NULL,
	swept boolean NOT NULL DEFAULT false,
	created_at bigint NOT NULL
	    DEFAULT floor(extract(epoch FROM clock_timestamp()))::bigint,
	PRIMARY KEY (tenant, id),
	FOREIGN KEY (tenant, order_name) REFERENCES production_order,
	FOREIGN KEY (tenant, station) REFERENCES caller
);
COMMENT ON TABLE ticket IS
    'Identities of one order, pulled together by a station without network.';
COMMENT ON COLUMN ticket.id IS 'chosen by the station at random';
COMMENT ON COLUMN ticket.station IS 'caller number of the one that pulled it';
COMMENT ON COLUMN ticket.station_key IS
    'P-256 point, x and y: the root keys are encrypted to it, and it signs '
    'what is burned';
COMMENT ON COLUMN ticket.swept IS
    'expired, and what was not burned by then is void';
CREATE INDEX ticket_due ON ticket (tenant, expires_at) WHERE NOT swept;

CREATE TABLE ticket_unit (
	tenant bigint NOT NULL REFERENCES tenant,
	ticket text NOT NULL,
	device bigint NOT NULL,
	nonce bytea CHECK (length(nonce) = 16),
	twice boolean NOT NULL DEFAULT false,
	PRIMARY KEY (tenant, ticket, device),
	FOREIGN KEY (tenant, ticket) REFERENCES ticket,
	FOREIGN KEY (tenant, device) REFERENCES device
);
COMMENT ON TABLE ticket_unit IS
    'The identities of a ticket. Until it is pushed, a device has the serial '
    '"~" and its place in the order, which no unit can have.';
COMMENT ON COLUMN ticket_unit.nonce IS
    'of the first burn that was pushed; NULL: none was';
COMMENT ON COLUMN ticket_unit.twice IS
    'a burn with another nonce was pushed too: the device is revoked';

DO $$
DECLARE t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['ticket', 'ticket_unit'] LOOP
		EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('CREATE POLICY own_tenant ON %I TO fealty_app '
		    'USING (tenant = current_tenant()) '
		    'WITH CHECK (tenant = current_tenant())', t);
		EXECUTE format('GRANT SELECT, INSERT ON %I TO fealty_app', t);
	END LOOP;
END
$$;
GRANT UPDATE (swept) ON ticket TO fealty_app;
GRANT UPDATE (nonce, twice) ON ticket_unit TO fealty_app;

-- Keys of a device that is void open nothing and are kept for nothing; authd
-- itself can delete no key. 0: it is not void.
CREATE FUNCTION destroy_void_keys(dev bigint) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = fealty, pg_catalog, pg_temp
AS $$
	WITH v AS (
		SELECT d.tenant, d.number FROM device d
		WHERE d.tenant = current_tenant() AND d.number = dev
		AND d.state = 6),
	gone AS (
		DELETE FROM device_key k USING v
		WHERE k.tenant = v.tenant AND k.device = v.number)
	SELECT count(*) FROM v
$$;
COMMENT ON FUNCTION destroy_void_keys(bigint) IS
    'Drops all keys of a void device.';
REVOKE ALL ON FUNCTION destroy_void_keys(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION destroy_void_keys(bigint) TO fealty_app;

INSERT INTO schema_version (version) VALUES (7);
