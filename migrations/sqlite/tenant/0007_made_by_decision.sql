-- Where a record would belong that a decision makes: it has no row that would say so. A JSON array of scopes. Those that
-- belong to another record are where that is.
ALTER TABLE sync_conflicts ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]';
ALTER TABLE sync_conflicts ADD COLUMN parent_collection TEXT;
ALTER TABLE sync_conflicts ADD COLUMN parent_record BLOB;
