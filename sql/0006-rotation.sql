-- Fealty, schema version 6: rotation of a device's key. Run as fealty_owner,
-- in one transaction, by authd. No new table: row-level security is that of
-- device, device_key and production_order.
SET LOCAL search_path = fealty, pg_catalog;

-- Epochs are live, pending or dead by their number alone: device.epoch is
-- live, device.pending is pending, every other one is dead.
ALTER TABLE device
	ADD COLUMN pending bigint NOT NULL DEFAULT 0
	    CHECK (pending BETWEEN 0 AND 4294967295),
	ADD COLUMN clones bigint NOT NULL DEFAULT 0,
	ADD COLUMN clone_at bigint NOT NULL DEFAULT 0,
	ADD COLUMN clone_epoch bigint NOT NULL DEFAULT 0,
	ADD CONSTRAINT device_pending_above
	    CHECK (pending = 0 OR pending > epoch);
COMMENT ON COLUMN device.epoch IS 'of the root key that is in use';
COMMENT ON COLUMN device.pending IS
    'epoch given to the device and not used yet: valid beside the other until '
    'its first use; 0 none';
COMMENT ON COLUMN device.clones IS
    'times that somebody proved to hold the key of a dead epoch';
COMMENT ON COLUMN device.clone_at IS 'when last, unix seconds; 0 never';
COMMENT ON COLUMN device.clone_epoch IS 'of which epoch; 0 none';

ALTER TABLE device_key
	ADD COLUMN asked bytea CHECK (length(asked) = 32);
COMMENT ON COLUMN device_key.asked IS
    'SHA-256 of the request that made it, so that its repetition gets the '
    'same; NULL for a key made for a station';

-- Dead keys that no station ever had are not kept for ever; authd itself can
-- delete no key.
CREATE FUNCTION prune_dead_keys(dev bigint, below bigint) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = fealty, pg_catalog, pg_temp
AS $$
	WITH gone AS (
		DELETE FROM device_key k USING device d
		WHERE k.tenant = current_tenant() AND k.device = dev
		AND d.tenant = k.tenant AND d.number = k.device
		AND k.epoch < below AND k.epoch <> d.epoch
		AND k.epoch <> d.pending AND k.released = 0
		RETURNING 1)
	SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION prune_dead_keys(bigint, bigint) IS
    'Drops keys of epochs below one that are dead and were never released.';
REVOKE ALL ON FUNCTION prune_dead_keys(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION prune_dead_keys(bigint, bigint) TO fealty_app;

ALTER TABLE production_order
	ADD COLUMN rotate_first boolean NOT NULL DEFAULT false,
	ADD COLUMN on_clone smallint NOT NULL DEFAULT 0
	    CHECK (on_clone IN (0, 1));
COMMENT ON COLUMN production_order.rotate_first IS
    'a key that a station has had opens nothing but its own rotation';
COMMENT ON COLUMN production_order.on_clone IS
    'when a dead key is used: 0 report 1 suspend the device too';

INSERT INTO schema_version (version) VALUES (6);
