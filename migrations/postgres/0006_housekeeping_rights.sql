-- What housekeeping may touch (see 0007). Run as campo_owner. The functions work for all companies at
-- once, so they are campo_capture's, who sees all of them.
CREATE POLICY capture ON sync.refresh_tokens TO campo_capture USING (true) WITH CHECK (true);
GRANT SELECT, DELETE ON sync.refresh_tokens TO campo_capture;
CREATE POLICY capture ON sync.receipts TO campo_capture USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE (body) ON sync.receipts TO campo_capture;
CREATE POLICY capture ON sync.conflicts FOR SELECT TO campo_capture USING (true);
GRANT SELECT ON sync.conflicts TO campo_capture;

-- Tombstones that still have their content. Changes of live rows do not touch it.
CREATE INDEX rows_tombstones ON sync.rows (deleted_t) WHERE deleted_v IS NOT NULL AND tombstone <> '{}';

-- That an old receipt lost its details is nothing to tell its device.
DROP TRIGGER stamp ON sync.receipts;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE OF body ON sync.receipts
    FOR EACH ROW WHEN (current_user <> 'campo_capture') EXECUTE FUNCTION sync.stamp();
ALTER TABLE sync.receipts ENABLE ALWAYS TRIGGER stamp;
