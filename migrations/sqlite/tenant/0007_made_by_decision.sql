-- Where a record would belong whose insertion waits for a decision: it has no row that would say so. A JSON array of
-- scopes.
ALTER TABLE sync_conflicts ADD COLUMN scopes TEXT NOT NULL DEFAULT '[]';
