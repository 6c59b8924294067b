-- Attempts to push as this database's stream, by which the server tells it from its copies.

CREATE TABLE campo_push (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL UNIQUE,
    answered INTEGER NOT NULL DEFAULT 0  -- the server has taken it as the stream's last one
);
