-- Fealty, schema version 2: the signed feed. Run as fealty_owner, in one
-- transaction, by authd. No new table: row-level security is that of counter.
SET LOCAL search_path = fealty, pg_catalog;

ALTER TABLE counter
	ADD COLUMN lost bigint NOT NULL DEFAULT 0
	    CHECK (lost BETWEEN 0 AND 9007199254740991),
	ADD COLUMN keys_version bigint NOT NULL DEFAULT 1
	    CHECK (keys_version BETWEEN 1 AND 9007199254740991);
COMMENT ON COLUMN counter.lost IS
    'not 0: a signed heartbeat of this head, beyond the newest event here, '
    'was presented; nothing is issued until the tenant is recovered';
COMMENT ON COLUMN counter.keys_version IS
    'of the signed key set; one more with each change of its keys';

DROP FUNCTION heads();
CREATE FUNCTION heads()
RETURNS TABLE (tenant bigint, name text, pos bigint, floor bigint,
    lost bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = fealty, pg_catalog, pg_temp
AS $$
	SELECT t.tenant, t.name, c.pos, c.floor, c.lost FROM tenant t
	JOIN counter c ON c.tenant = t.tenant
$$;
COMMENT ON FUNCTION heads() IS
    'Exception 2: the follower''s view, names and positions only.';
REVOKE ALL ON FUNCTION heads() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION heads() TO fealty_app;

INSERT INTO schema_version (version) VALUES (2);
