-- When the server learned of a deletion, in microseconds since 1970: content is kept from then on, however
-- long ago the deletion was made offline. Run as campo_owner.
ALTER TABLE sync.rows ADD COLUMN deleted_at bigint;
DROP INDEX sync.rows_tombstones;
CREATE INDEX rows_tombstones ON sync.rows (deleted_at) WHERE deleted_v IS NOT NULL AND tombstone <> '{}';
-- Receipts that are still to be told to a copy keep their details.
CREATE POLICY capture ON sync.receipt_echoes TO campo_capture USING (true) WITH CHECK (true);
GRANT SELECT ON sync.receipt_echoes TO campo_capture;
