-- Files of photos that are on this device: of those made here, and of those fetched to be looked at.
-- The bytes are beside the database, in a file named by their hash.
CREATE TABLE campo_photo (
    collection TEXT NOT NULL,            -- a photo collection
    record     TEXT NOT NULL,            -- its record
    variant    TEXT NOT NULL,            -- photo, thumbnail
    sha256     TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    state      TEXT NOT NULL,            -- waiting: only this device is known to have it; stored: the server has it too
    sent       INTEGER NOT NULL DEFAULT 0, -- bytes that the server has said it has
    tried      INTEGER NOT NULL DEFAULT 0, -- an upload was begun
    urgent     INTEGER NOT NULL DEFAULT 0, -- the user said "now"
    adrift     INTEGER NOT NULL DEFAULT 0, -- its record has left the device before it was sent
    exported   INTEGER NOT NULL DEFAULT 0, -- a file that support can read holds it
    used       INTEGER NOT NULL,         -- counts uses: the smallest was used longest ago
    failure    TEXT,                     -- JSON, why the last attempt failed
    not_before_us INTEGER NOT NULL DEFAULT 0, -- the next attempt, by the server's clock
    PRIMARY KEY (collection, record, variant)
) WITHOUT ROWID;
CREATE INDEX campo_photo_file ON campo_photo (sha256);
CREATE INDEX campo_photo_waiting ON campo_photo (urgent, variant, bytes) WHERE state = 'waiting';

-- Files that may go, because what named them was let go of: only these are ever removed at once.
CREATE TABLE campo_photo_released (
    sha256 TEXT PRIMARY KEY
) WITHOUT ROWID;

-- Files that nothing names, and the verified checkpoint at which that was seen first. A damaged line or row may be
-- the reason: they stay until much was verified since.
CREATE TABLE campo_photo_orphan (
    sha256   TEXT PRIMARY KEY,
    since_us INTEGER NOT NULL
) WITHOUT ROWID;
