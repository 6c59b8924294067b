-- The attempt that took an edit along last: only that one can say that it provably did not arrive.

ALTER TABLE campo_outbox ADD COLUMN push TEXT;
