-- Hashes of deleted photos, while their content is kept: a picture that comes again is known also then. Run as
-- campo_owner. Changes of live rows do not touch it.
CREATE INDEX rows_pictures ON sync.rows (tenant_id, (tombstone ->> 'miniatura_sha256'))
    WHERE deleted_v IS NOT NULL AND tombstone ->> 'miniatura_sha256' IS NOT NULL;
