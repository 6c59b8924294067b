-- Hashes of deleted photos, while their content is kept: a picture that comes again is known also then.
CREATE INDEX sync_rows_pictures ON sync_rows (json_extract(tombstone, '$.miniatura_sha256')) WHERE deleted = 1 AND tombstone <> '{}';
