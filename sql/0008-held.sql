-- Fealty, schema version 8: events that this database has lost and gateways
-- still hold, until an admin takes them back. Run as fealty_owner, in one
-- transaction, by authd.
SET LOCAL search_path = fealty, pg_catalog;

CREATE TABLE held_event (
	tenant bigint NOT NULL REFERENCES tenant,
	pos bigint NOT NULL CHECK (pos BETWEEN 1 AND 9007199254740991),
	kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 6),
	effect smallint NOT NULL CHECK (effect BETWEEN 1 AND 3),
	id text NOT NULL CHECK (length(id) BETWEEN 1 AND 64),
	ep_max bigint NOT NULL DEFAULT 0,
	exp bigint NOT NULL DEFAULT 0,
	at bigint NOT NULL,
	keys bigint NOT NULL,
	PRIMARY KEY (tenant, pos)
);
COMMENT ON TABLE held_event IS
    'Signed events beyond this database that gateways have shown: nothing '
    'acts on them until a recovery, which empties this.';
COMMENT ON COLUMN held_event.keys IS
    'version of the key set under which its signature was good: below the '
    'present one it counts no more';

CREATE TABLE held_by (
	tenant bigint NOT NULL REFERENCES tenant,
	caller bigint NOT NULL,
	keys bigint NOT NULL,
	first bigint NOT NULL,
	last bigint NOT NULL,
	conflict bigint NOT NULL DEFAULT 0,
	heard_us bigint NOT NULL,
	PRIMARY KEY (tenant, caller),
	FOREIGN KEY (tenant, caller) REFERENCES caller
);
COMMENT ON TABLE held_by IS 'Which gateways have shown held events.';
COMMENT ON COLUMN held_by.caller IS 'number of the gateway';
COMMENT ON COLUMN held_by.keys IS 'as in held_event';
COMMENT ON COLUMN held_by.first IS 'the first position it has shown';
COMMENT ON COLUMN held_by.last IS 'and the last one';
COMMENT ON COLUMN held_by.conflict IS
    'a position of which another gateway has shown another event; 0 none';
COMMENT ON COLUMN held_by.heard_us IS 'when last, microseconds since 1970';

DO $$
DECLARE t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['held_event', 'held_by'] LOOP
		EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
		EXECUTE format('CREATE POLICY own_tenant ON %I TO fealty_app '
		    'USING (tenant = current_tenant()) '
		    'WITH CHECK (tenant = current_tenant())', t);
		EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I '
		    'TO fealty_app', t);
	END LOOP;
END
$$;

INSERT INTO schema_version (version) VALUES (8);
