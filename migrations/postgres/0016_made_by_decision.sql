-- Where a record would belong that a decision makes: it has no row that would say so. Those that belong to another record
-- are where that is. Run as campo_owner.
ALTER TABLE sync.conflicts ADD COLUMN scopes text[] NOT NULL DEFAULT '{}';
ALTER TABLE sync.conflicts ADD COLUMN parent_collection text;
ALTER TABLE sync.conflicts ADD COLUMN parent_id uuid;
