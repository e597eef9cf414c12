-- Fealty, schema version 5: how receipts are stored. Run as fealty_owner, in
-- one transaction, by authd. No new table.
SET LOCAL search_path = fealty, pg_catalog;

-- The arrays grow by batches while gateways answer. To compress them again
-- each time costs more than all the rest of keeping them.
ALTER TABLE receipt
	ALTER COLUMN caller SET STORAGE EXTERNAL,
	ALTER COLUMN instance SET STORAGE EXTERNAL,
	ALTER COLUMN enforced SET STORAGE EXTERNAL,
	ALTER COLUMN closed SET STORAGE EXTERNAL,
	ALTER COLUMN took_us SET STORAGE EXTERNAL,
	ALTER COLUMN at_us SET STORAGE EXTERNAL;

-- Each row is updated with each receipt: room for that in its own page.
ALTER TABLE gateway_instance SET (fillfactor = 50);

INSERT INTO schema_version (version) VALUES (5);
