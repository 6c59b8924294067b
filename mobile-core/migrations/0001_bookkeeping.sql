-- The bookkeeping of one person's database. Tables of collections are made from the schema.

CREATE TABLE campo_meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- The sets of scopes that rows are in; rows name one by its id in `_scopes`.
CREATE TABLE campo_scope_set (
    id     INTEGER PRIMARY KEY,
    scopes TEXT NOT NULL UNIQUE        -- sorted JSON array; '[]': in no scope that is held
);

-- Every transaction of edits and its receipt, for the life of the database.
CREATE TABLE campo_outbox (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    ord          INTEGER NOT NULL,     -- place in the order of sending; a correction takes the place of what it replaces
    id           TEXT NOT NULL UNIQUE, -- receipt id
    state        TEXT NOT NULL,        -- waiting, sending, or the state in the server's receipt
    settled      INTEGER NOT NULL DEFAULT 0, -- its outcome is in the tables, or it had none
    maybe_sent   INTEGER NOT NULL DEFAULT 0, -- the server may have it
    wall_us      INTEGER NOT NULL,
    boot_us      INTEGER NOT NULL,
    boot_id      TEXT NOT NULL,
    edited_us    INTEGER,              -- corrected time, once it is fixed
    uncertain    INTEGER NOT NULL DEFAULT 0,
    replaces     TEXT,                 -- the refused transaction that this one corrects
    replaced_by  TEXT,
    builds_on    TEXT NOT NULL DEFAULT '[]', -- JSON array of receipt ids
    position     TEXT,                 -- JSON
    mutations    TEXT NOT NULL,        -- JSON array as it goes to the server
    receipt      TEXT,                 -- JSON, the server's last word
    seen_told    INTEGER NOT NULL DEFAULT 0  -- the server knows that the outcome is durable here
);
CREATE INDEX campo_outbox_order ON campo_outbox (ord, seq);
CREATE INDEX campo_outbox_open ON campo_outbox (ord, seq) WHERE settled = 0;
CREATE INDEX campo_outbox_unseen ON campo_outbox (seq) WHERE settled = 1 AND seen_told = 0;
CREATE INDEX campo_outbox_problems ON campo_outbox (seq) WHERE state IN ('refused', 'parked', 'in_review');

-- Mutations that the view is made of. Not in the view (in_view = 0) are those of refused insertions,
-- which later edits may refer to, and those that a backfill has brought before their checkpoint.
CREATE TABLE campo_mutation (
    seq        INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    collection TEXT NOT NULL,
    record     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    in_view    INTEGER NOT NULL DEFAULT 1,
    content    TEXT NOT NULL,          -- JSON: the mutation with defaults and inherited columns filled in
    PRIMARY KEY (seq, position)
) WITHOUT ROWID;
CREATE INDEX campo_mutation_record ON campo_mutation (collection, record);

-- The server's state of rows that have mutations in the view. content NULL: no such row there.
CREATE TABLE campo_server_row (
    collection TEXT NOT NULL,
    record     TEXT NOT NULL,
    version    INTEGER NOT NULL,
    scopes     INTEGER NOT NULL,
    content    TEXT,
    PRIMARY KEY (collection, record)
) WITHOUT ROWID;

-- Rows and receipts of a delta whose checkpoint has not come yet. content NULL: the row leaves.
CREATE TABLE campo_staged (
    collection TEXT NOT NULL,
    record     TEXT NOT NULL,
    version    INTEGER NOT NULL,
    scopes     INTEGER NOT NULL,
    content    TEXT,
    PRIMARY KEY (collection, record)
) WITHOUT ROWID;
CREATE TABLE campo_staged_receipt (
    id      TEXT PRIMARY KEY,
    receipt TEXT NOT NULL
) WITHOUT ROWID;

-- Scopes whose rows are still being fetched.
CREATE TABLE campo_backfill (
    scope TEXT PRIMARY KEY
) WITHOUT ROWID;
