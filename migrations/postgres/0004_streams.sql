-- A stream is one database's history of edits. Its copies have to be told from it (docs/decisions/0007).
-- Run as campo_owner.

-- The last push of each stream.
CREATE TABLE sync.streams (
    tenant_id uuid NOT NULL REFERENCES sync.tenants,
    stream    uuid NOT NULL,
    last_push uuid NOT NULL,
    PRIMARY KEY (tenant_id, stream)
);

-- Receipts that are told to another stream as well, whose database has the same transactions.
CREATE TABLE sync.receipt_echoes (
    tenant_id uuid NOT NULL REFERENCES sync.tenants,
    stream    uuid NOT NULL,
    receipt   uuid NOT NULL,
    stamp     xid8 NOT NULL,
    seen      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, stream, receipt),
    FOREIGN KEY (tenant_id, receipt) REFERENCES sync.receipts
);
CREATE INDEX receipt_echoes_stamp ON sync.receipt_echoes (tenant_id, stream, stamp);
CREATE INDEX receipt_echoes_receipt ON sync.receipt_echoes (tenant_id, receipt);

-- A receipt that changes is news to everybody that it is told to; one that housekeeping shortens is
-- not stamped anew, and no news.
CREATE FUNCTION sync.echo_receipt() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE sync.receipt_echoes SET stamp = NEW.stamp, seen = false
    WHERE tenant_id = NEW.tenant_id AND receipt = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER echo AFTER UPDATE OF body ON sync.receipts
    FOR EACH ROW WHEN (NEW.stamp <> OLD.stamp) EXECUTE FUNCTION sync.echo_receipt();
ALTER TABLE sync.receipts ENABLE ALWAYS TRIGGER echo;

DO $wall$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['streams', 'receipt_echoes'] LOOP
        EXECUTE format('ALTER TABLE sync.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE sync.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format(
            'CREATE POLICY tenant ON sync.%I USING (tenant_id = NULLIF(current_setting(''app.current_tenant_id'', true), '''')::uuid) WITH CHECK (tenant_id = NULLIF(current_setting(''app.current_tenant_id'', true), '''')::uuid)', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON sync.%I TO campo_server', t);
    END LOOP;
END
$wall$;
