-- Fealty, schema version 4: devices that have made their own key pair. Run as
-- fealty_owner, in one transaction, by authd. No new table: row-level security
-- is that of device.
SET LOCAL search_path = fealty, pg_catalog;

ALTER TABLE device ADD COLUMN public_key bytea
    CHECK (length(public_key) = 64);
COMMENT ON COLUMN device.public_key IS
    'P-256 point, x and y, of the key pair the device has made itself; from '
    'its release on, changed by a new one until it is confirmed; NULL: none';
-- One key pair is one device, and a revoked one's is never another's.
CREATE UNIQUE INDEX device_public_key ON device (tenant, public_key)
    WHERE public_key IS NOT NULL AND state <> 6;

INSERT INTO schema_version (version) VALUES (4);
