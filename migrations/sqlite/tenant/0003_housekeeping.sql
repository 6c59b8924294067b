-- Tombstones that still have their content. Changes of live rows do not touch it.
CREATE INDEX sync_rows_tombstones ON sync_rows (collection, record) WHERE deleted = 1 AND tombstone <> '{}';
