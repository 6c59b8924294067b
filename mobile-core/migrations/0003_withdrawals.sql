-- Edits that may have been sent and that their author takes back: the server says whether in time.

ALTER TABLE campo_outbox ADD COLUMN withdraw INTEGER NOT NULL DEFAULT 0;
