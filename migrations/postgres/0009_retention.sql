-- Housekeeping that keeps what is still needed. Run as campo_capture.

UPDATE sync.rows SET deleted_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
WHERE deleted_v IS NOT NULL;

CREATE OR REPLACE FUNCTION sync.tidy_tombstones(before_us bigint, rows_max integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH done AS (
        UPDATE sync.rows r SET tombstone = '{}' FROM (
            SELECT tenant_id, collection, record_id FROM sync.rows o
            WHERE o.deleted_v IS NOT NULL AND o.tombstone <> '{}' AND o.deleted_at < before_us
                AND NOT EXISTS (SELECT FROM sync.conflicts c WHERE c.tenant_id = o.tenant_id
                    AND c.collection = o.collection AND c.record_id = o.record_id
                    AND c.status IN ('open', 'claimed'))
            LIMIT rows_max FOR UPDATE SKIP LOCKED) old
        WHERE r.tenant_id = old.tenant_id AND r.collection = old.collection
            AND r.record_id = old.record_id RETURNING 1)
    SELECT count(*) FROM done
$$;

-- Details stay that something may still ask for: by a copy that was not told yet, by what builds on a
-- record that went by another id, by a decision that is taken back.
CREATE OR REPLACE FUNCTION sync.tidy_receipts(
    after_tenant uuid, after_id uuid, before_us bigint, rows_max integer,
    OUT forgotten bigint, OUT looked bigint, OUT last_tenant uuid, OUT last_id uuid
) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH part AS MATERIALIZED (
        SELECT tenant_id, id FROM sync.receipts WHERE (tenant_id, id) > (after_tenant, after_id)
        ORDER BY tenant_id, id LIMIT rows_max),
    done AS (
        UPDATE sync.receipts r
        SET body = jsonb_set(r.body::jsonb, '{receipt}', (r.body::jsonb -> 'receipt') - 'mutations')::text
        FROM part p WHERE r.tenant_id = p.tenant_id AND r.id = p.id
            AND r.seen AND r.settled_at_us < before_us
            AND r.body NOT LIKE '%"conflict":%' AND r.body NOT LIKE '%"alias":%'
            AND r.body LIKE '%"mutations":%'
            AND NOT EXISTS (SELECT FROM sync.receipt_echoes e
                WHERE e.tenant_id = r.tenant_id AND e.receipt = r.id AND NOT e.seen)
        RETURNING 1)
    SELECT (SELECT count(*) FROM done), (SELECT count(*) FROM part), l.tenant_id, l.id
    FROM (SELECT) one LEFT JOIN LATERAL (
        SELECT tenant_id, id FROM part ORDER BY tenant_id DESC, id DESC LIMIT 1) l ON true
$$;
