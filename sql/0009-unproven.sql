-- Fealty, schema version 9: what is not proven yet, and why a unit is void.
-- Run as fealty_owner, in one transaction, by authd. No new table: row-level
-- security is that of device.
SET LOCAL search_path = fealty, pg_catalog;

ALTER TABLE device
	ADD COLUMN unproven boolean NOT NULL DEFAULT false,
	ADD COLUMN void_reason text NOT NULL DEFAULT ''
	    CHECK (length(void_reason) <= 200);
COMMENT ON COLUMN device.unproven IS
    'what was burned is proven by the medium alone: the device has not '
    'authenticated since';
COMMENT ON COLUMN device.void_reason IS 'why, as its station or an admin said';
-- Of what there is nobody knows: the next authentication tells.
UPDATE device SET unproven = true WHERE proof = 2 AND state IN (2, 3);

-- Under the policy never a serial number that had a key gets none again.
CREATE INDEX device_void_serial ON device (tenant, order_name, serial)
    WHERE state = 6;

INSERT INTO schema_version (version) VALUES (9);
