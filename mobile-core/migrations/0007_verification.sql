-- What is known about damage: rows of tables that do not fit their checksums or the server's digests.

-- Checksums, see store/checksum.rs; 0 in rows that an older version wrote.
ALTER TABLE campo_server_row ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campo_staged ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campo_mutation ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;

-- What a person typed and still wants, a second time: everything else could be had from the server.
CREATE TABLE campo_outbox_copy (
    seq      INTEGER PRIMARY KEY,
    content  TEXT NOT NULL,            -- JSON array
    checksum INTEGER NOT NULL
);

-- Rows that the server is asked for again.
CREATE TABLE campo_refetch (
    collection TEXT NOT NULL,
    record     TEXT NOT NULL,
    PRIMARY KEY (collection, record)
) WITHOUT ROWID;

-- What did not have the server's digest at the last checkpoint that told it.
CREATE TABLE campo_suspect (
    scope      TEXT NOT NULL,
    collection TEXT NOT NULL,
    PRIMARY KEY (scope, collection)
) WITHOUT ROWID;

-- What was found, for support.
CREATE TABLE campo_damage (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    found_us    INTEGER NOT NULL,      -- the server's clock, as far as it was known
    kind        TEXT NOT NULL,
    place       TEXT NOT NULL,
    detail      TEXT NOT NULL,
    repaired_us INTEGER
);

-- What is left of edits of which neither the original nor the copy could be read. Kept for support.
CREATE TABLE campo_lost_edit (
    seq      INTEGER PRIMARY KEY,
    found_us INTEGER NOT NULL,
    content  TEXT NOT NULL
);
