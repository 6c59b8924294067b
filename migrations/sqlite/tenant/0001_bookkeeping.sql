-- Bookkeeping of one tenant's file. The collections' own tables are generated from the schema.
-- `stamp` is everywhere the number of the commit that wrote the line last.

CREATE TABLE sync_meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One line per commit. The newest number is the commit counter; the witness is random, so that a
-- position from a history that was rewound and went on differently is known as such.
CREATE TABLE sync_history (
    commit_no INTEGER NOT NULL PRIMARY KEY,
    witness BLOB NOT NULL CHECK (length(witness) = 8)
) STRICT;

-- Short numbers for collections; `declared` is the collection as its table was last made for.
CREATE TABLE sync_collections (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    declared TEXT NOT NULL
) STRICT;

-- Short numbers for scopes.
CREATE TABLE sync_scopes (
    id INTEGER NOT NULL PRIMARY KEY,
    scope TEXT NOT NULL UNIQUE
) STRICT;

-- One line for each row that ever was. `meta` is RowMeta; `tombstone` the last content of a deleted
-- row, in canonical JSON.
CREATE TABLE sync_rows (
    collection INTEGER NOT NULL REFERENCES sync_collections (id),
    record BLOB NOT NULL CHECK (length(record) = 16),
    version INTEGER NOT NULL CHECK (version > 0),
    stamp INTEGER NOT NULL,
    deleted INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    meta TEXT NOT NULL,
    tombstone TEXT,
    PRIMARY KEY (collection, record),
    CHECK ((deleted = 1) = (tombstone IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- One line for each scope that a row is or was in. A change of the row stamps the scopes that it is
-- in; leaving a scope (or being deleted) stamps the line a last time, as gone. The primary key
-- serves backfills in key order, the index serves deltas (it holds the primary key's columns too).
CREATE TABLE sync_memberships (
    scope INTEGER NOT NULL REFERENCES sync_scopes (id),
    collection INTEGER NOT NULL REFERENCES sync_collections (id),
    record BLOB NOT NULL,
    stamp INTEGER NOT NULL,
    gone INTEGER NOT NULL CHECK (gone IN (0, 1)),
    PRIMARY KEY (scope, collection, record)
) STRICT, WITHOUT ROWID;
CREATE INDEX sync_memberships_changed ON sync_memberships (scope, stamp);

-- How many live rows a scope has of a collection, and the xor of md5(record id ‖ version, 8 bytes,
-- big endian) over them.
CREATE TABLE sync_heads (
    scope INTEGER NOT NULL REFERENCES sync_scopes (id),
    collection INTEGER NOT NULL REFERENCES sync_collections (id),
    live_rows INTEGER NOT NULL CHECK (live_rows >= 0),
    digest BLOB NOT NULL CHECK (length(digest) = 16),
    PRIMARY KEY (scope, collection)
) STRICT, WITHOUT ROWID;

CREATE TABLE sync_users (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    login TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    roles TEXT NOT NULL,
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1))
) STRICT, WITHOUT ROWID;

-- A grant that was taken away stays as a line with `held` 0, so that the device learns of it.
CREATE TABLE sync_grants (
    user BLOB NOT NULL REFERENCES sync_users (id),
    scope TEXT NOT NULL,
    held INTEGER NOT NULL CHECK (held IN (0, 1)),
    stamp INTEGER NOT NULL,
    PRIMARY KEY (user, scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE sync_devices (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user BLOB NOT NULL REFERENCES sync_users (id),
    name TEXT,
    last_seen_us INTEGER NOT NULL,
    revoked INTEGER NOT NULL CHECK (revoked IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Everything since one login.
CREATE TABLE sync_refresh_families (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user BLOB NOT NULL REFERENCES sync_users (id),
    device BLOB NOT NULL,
    ended INTEGER NOT NULL CHECK (ended IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX sync_refresh_families_device ON sync_refresh_families (device);

CREATE TABLE sync_refresh_tokens (
    hash TEXT NOT NULL PRIMARY KEY,
    family BLOB NOT NULL REFERENCES sync_refresh_families (id),
    parent TEXT REFERENCES sync_refresh_tokens (hash),
    device BLOB NOT NULL,
    issued_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    replaced INTEGER NOT NULL DEFAULT 0 CHECK (replaced IN (0, 1)),
    child_used INTEGER NOT NULL DEFAULT 0 CHECK (child_used IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX sync_refresh_tokens_parent ON sync_refresh_tokens (parent);

-- `body` is the whole stored receipt as JSON; the columns beside it are what is searched.
CREATE TABLE sync_receipts (
    seq INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    stream BLOB NOT NULL,
    stamp INTEGER NOT NULL,
    seen INTEGER NOT NULL CHECK (seen IN (0, 1)),
    body TEXT NOT NULL
) STRICT;
CREATE INDEX sync_receipts_stream ON sync_receipts (stream, stamp);
CREATE INDEX sync_receipts_unseen ON sync_receipts (stream, seq) WHERE seen = 0;

CREATE TABLE sync_conflicts (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    collection TEXT NOT NULL,
    record BLOB NOT NULL,
    status TEXT NOT NULL,
    severity TEXT NOT NULL,
    opened_at_us INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sync_conflicts_record ON sync_conflicts (collection, record);
CREATE INDEX sync_conflicts_opened ON sync_conflicts (opened_at_us, id);

CREATE TABLE sync_audit (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_us INTEGER NOT NULL,
    user BLOB,
    action TEXT NOT NULL,
    conflict BLOB,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX sync_audit_conflict ON sync_audit (conflict, seq);

CREATE TRIGGER sync_audit_is_not_changed BEFORE UPDATE ON sync_audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
CREATE TRIGGER sync_audit_is_not_deleted BEFORE DELETE ON sync_audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
