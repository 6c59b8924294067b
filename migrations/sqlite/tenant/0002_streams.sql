-- A stream is one database's history of edits. Its copies have to be told from it (docs/decisions/0007).

-- The last push of each stream.
CREATE TABLE sync_streams (
    stream BLOB NOT NULL PRIMARY KEY CHECK (length(stream) = 16),
    last_push BLOB NOT NULL CHECK (length(last_push) = 16)
) STRICT, WITHOUT ROWID;

-- Receipts that are told to another stream as well, whose database has the same transactions.
CREATE TABLE sync_receipt_echoes (
    stream BLOB NOT NULL CHECK (length(stream) = 16),
    receipt BLOB NOT NULL REFERENCES sync_receipts (id),
    stamp INTEGER NOT NULL,
    seen INTEGER NOT NULL CHECK (seen IN (0, 1)),
    PRIMARY KEY (stream, receipt)
) STRICT, WITHOUT ROWID;
CREATE INDEX sync_receipt_echoes_stamp ON sync_receipt_echoes (stream, stamp);
CREATE INDEX sync_receipt_echoes_receipt ON sync_receipt_echoes (receipt);

-- A receipt that changes is news to everybody that it is told to; one that housekeeping shortens is
-- not stamped anew, and no news.
CREATE TRIGGER sync_receipts_echo AFTER UPDATE OF body ON sync_receipts WHEN NEW.stamp <> OLD.stamp
BEGIN
    UPDATE sync_receipt_echoes SET stamp = NEW.stamp, seen = 0 WHERE receipt = NEW.id;
END;
