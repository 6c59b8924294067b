-- Where a record would belong whose insertion waits for a decision: it has no row that would say so. Run as
-- campo_owner.
ALTER TABLE sync.conflicts ADD COLUMN scopes text[] NOT NULL DEFAULT '{}';
