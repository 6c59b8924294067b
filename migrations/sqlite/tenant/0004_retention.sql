-- When the server learned of a deletion, in microseconds since 1970: content is kept from then on, however
-- long ago the deletion was made offline.
ALTER TABLE sync_rows ADD COLUMN deleted_at_us INTEGER;
UPDATE sync_rows SET deleted_at_us = CAST(strftime('%s', 'now') AS INTEGER) * 1000000 WHERE deleted = 1;
DROP INDEX sync_rows_tombstones;
CREATE INDEX sync_rows_tombstones ON sync_rows (deleted_at_us) WHERE deleted = 1 AND tombstone <> '{}';
