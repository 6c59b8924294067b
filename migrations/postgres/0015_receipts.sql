-- Receipts at less cost to a push: they are marked as seen by what names them, and their company is looked up once
-- a statement. Run as campo_owner.

-- Receipts that their device has stored the outcome of, as one push told them. A mark is a row, where a flag in
-- each receipt wrote every one of them once more. Housekeeping sets the flags, and takes the marks away.
CREATE TABLE sync.seen_receipts (
    tenant_id uuid NOT NULL REFERENCES sync.tenants,
    stream    uuid NOT NULL,
    seq       bigint GENERATED ALWAYS AS IDENTITY,
    receipts  uuid[] NOT NULL,
    PRIMARY KEY (tenant_id, stream, seq)
);
ALTER TABLE sync.seen_receipts ALTER COLUMN receipts SET STORAGE EXTERNAL;
ALTER TABLE sync.seen_receipts ENABLE ROW LEVEL SECURITY;
ALTER TABLE sync.seen_receipts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sync.seen_receipts USING (tenant_id = NULLIF(current_setting('app.current_tenant_id', true), '')::uuid) WITH CHECK (tenant_id = NULLIF(current_setting('app.current_tenant_id', true), '')::uuid);
CREATE POLICY capture ON sync.seen_receipts TO campo_capture USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON sync.seen_receipts TO campo_server;
-- Row locks ask for the right to update some column.
GRANT SELECT, UPDATE (receipts), DELETE ON sync.seen_receipts TO campo_capture;

-- A mark says nothing of what a decision wrote later: of receipts that were written again only the flag counts,
-- whose row the decision has locked.
ALTER TABLE sync.receipts ADD COLUMN rewritten boolean NOT NULL DEFAULT false;
CREATE INDEX receipts_rewritten ON sync.receipts (tenant_id, stream) WHERE rewritten AND NOT seen;
GRANT UPDATE (seen) ON sync.receipts TO campo_capture;

-- The foreign key looked for the company once for each receipt. The people of a company keep it from being
-- deleted as well.
ALTER TABLE sync.receipts DROP CONSTRAINT receipts_tenant_id_fkey;
CREATE FUNCTION sync.refuse_unknown_tenant() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT n.tenant_id FROM new_rows n) n
        WHERE NOT EXISTS (SELECT FROM sync.tenants t WHERE t.tenant_id = n.tenant_id)) THEN
        RAISE EXCEPTION 'receipts of a company that does not exist' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER tenant AFTER INSERT ON sync.receipts REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION sync.refuse_unknown_tenant();
ALTER TABLE sync.receipts ENABLE ALWAYS TRIGGER tenant;

RESET ROLE;
SET LOCAL ROLE campo_capture;

-- Marks become flags, a bounded part of them. Answers how many receipts it looked at.
CREATE FUNCTION sync.fold_seen(rows_max integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH part AS MATERIALIZED (
        SELECT tenant_id, stream, seq, receipts FROM sync.seen_receipts ORDER BY tenant_id, stream, seq
        LIMIT greatest(rows_max / 1000, 1) FOR UPDATE SKIP LOCKED),
    named AS MATERIALIZED (
        SELECT p.tenant_id, p.stream, n.id FROM part p CROSS JOIN LATERAL unnest(p.receipts) n (id)
        ORDER BY p.tenant_id, n.id),
    flagged AS (
        UPDATE sync.receipts r SET seen = true FROM named n
        WHERE r.tenant_id = n.tenant_id AND r.id = n.id AND r.stream = n.stream
            AND NOT r.seen AND NOT r.rewritten),
    gone AS (
        DELETE FROM sync.seen_receipts s USING part p
        WHERE s.tenant_id = p.tenant_id AND s.stream = p.stream AND s.seq = p.seq)
    SELECT count(*) FROM named
$$;
REVOKE ALL ON FUNCTION sync.fold_seen FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync.fold_seen TO campo_server;
