-- Fealty, schema version 3: what gateways say they enforce. Run as
-- fealty_owner, in one transaction, by authd.
SET LOCAL search_path = fealty, pg_catalog;

-- Positions have a time in microseconds from here on; 0 for older ones.
ALTER TABLE event ADD COLUMN at_us bigint NOT NULL DEFAULT 0;
ALTER TABLE event ALTER COLUMN at_us SET DEFAULT
    floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
COMMENT ON COLUMN event.at_us IS
    'when, microseconds since 1970: just before the commit; 0 not known';

CREATE TABLE gateway_instance (
	tenant bigint NOT NULL REFERENCES tenant,
	caller bigint NOT NULL,
	name text NOT NULL CHECK (name ~ '^[A-Za-z0-9._:-]{1,64}$'),
	pos bigint NOT NULL CHECK (pos BETWEEN 0 AND 9007199254740991),
	prev bigint NOT NULL,
	enforced smallint NOT NULL CHECK (enforced IN (1, 2)),
	heard_us bigint NOT NULL,
	PRIMARY KEY (tenant, caller, name),
	FOREIGN KEY (tenant, caller) REFERENCES caller
);
COMMENT ON TABLE gateway_instance IS
    'The position that each instance of a gateway says it enforces.';
COMMENT ON COLUMN gateway_instance.caller IS 'number of the gateway';
COMMENT ON COLUMN gateway_instance.name IS 'the instance, by its own word';
COMMENT ON COLUMN gateway_instance.pos IS
    'all events up to it are enforced there';
COMMENT ON COLUMN gateway_instance.prev IS
    'pos before the last receipt; 0: that was its first';
COMMENT ON COLUMN gateway_instance.enforced IS '1 requests 2 sessions';
COMMENT ON COLUMN gateway_instance.heard_us IS
    'arrival of its last receipt, microseconds since 1970';

CREATE TABLE receipt (
	tenant bigint NOT NULL REFERENCES tenant,
	pos bigint NOT NULL,
	caller bigint[] NOT NULL,
	instance text[] NOT NULL,
	enforced bigint[] NOT NULL,
	closed bigint[] NOT NULL,
	took_us bigint[] NOT NULL,
	at_us bigint[] NOT NULL,
	PRIMARY KEY (tenant, pos),
	CHECK (cardinality(caller) = cardinality(instance)
	    AND cardinality(caller) = cardinality(enforced)
	    AND cardinality(caller) = cardinality(closed)
	    AND cardinality(caller) = cardinality(took_us)
	    AND cardinality(caller) = cardinality(at_us))
);
COMMENT ON TABLE receipt IS
    'The receipts for one position, one row: element n of each array is of '
    'one receipt, in the order of their arrival. A receipt for a position '
    'is one for every event before it that its instance had not said yet.';
COMMENT ON COLUMN receipt.caller IS 'number of the gateway';
COMMENT ON COLUMN receipt.instance IS 'name of its instance';
COMMENT ON COLUMN receipt.enforced IS '1 requests 2 sessions';
COMMENT ON COLUMN receipt.closed IS 'sessions it closed';
COMMENT ON COLUMN receipt.took_us IS
    'from hearing of the event to having done so, by its own clock';
COMMENT ON COLUMN receipt.at_us IS
    'arrival, microseconds since 1970, by the clock of this database';

DO $$
DECLARE t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['gateway_instance', 'receipt'] LOOP
		EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('CREATE POLICY own_tenant ON %I TO fealty_app '
		    'USING (tenant = current_tenant()) '
		    'WITH CHECK (tenant = current_tenant())', t);
		EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I '
		    'TO fealty_app', t);
	END LOOP;
END
$$;
GRANT DELETE ON gateway_instance TO fealty_app;

INSERT INTO schema_version (version) VALUES (3);
