-- Housekeeping (see store::tidy): each call does a bounded part for all companies and answers how many
-- rows it changed. Run as campo_capture.

CREATE FUNCTION sync.tidy_tokens(before_us bigint, rows_max integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (
        DELETE FROM sync.refresh_tokens t USING (
            SELECT tenant_id, hash FROM sync.refresh_tokens WHERE expires_at_us < before_us
            LIMIT rows_max) old
        WHERE t.tenant_id = old.tenant_id AND t.hash = old.hash RETURNING 1)
    SELECT count(*) FROM gone
$$;

-- Receipts are looked through in the order of their key, a part at a time: an index of those that may
-- lose their details would cost every push.
CREATE FUNCTION sync.tidy_receipts(
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
            AND r.body::jsonb #> '{receipt,mutations}' IS NOT NULL
            AND r.body::jsonb #>> '{receipt,state}' <> 'in_review'
        RETURNING 1)
    SELECT (SELECT count(*) FROM done), (SELECT count(*) FROM part), l.tenant_id, l.id
    FROM (SELECT) one LEFT JOIN LATERAL (
        SELECT tenant_id, id FROM part ORDER BY tenant_id DESC, id DESC LIMIT 1) l ON true
$$;

-- A row with an open conflict keeps its content: the decision may be to bring it back.
CREATE FUNCTION sync.tidy_tombstones(before_us bigint, rows_max integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH done AS (
        UPDATE sync.rows r SET tombstone = '{}' FROM (
            SELECT tenant_id, collection, record_id FROM sync.rows o
            WHERE o.deleted_v IS NOT NULL AND o.tombstone <> '{}' AND o.deleted_t < before_us
                AND NOT EXISTS (SELECT FROM sync.conflicts c WHERE c.tenant_id = o.tenant_id
                    AND c.collection = o.collection AND c.record_id = o.record_id
                    AND c.status IN ('open', 'claimed'))
            LIMIT rows_max FOR UPDATE SKIP LOCKED) old
        WHERE r.tenant_id = old.tenant_id AND r.collection = old.collection
            AND r.record_id = old.record_id RETURNING 1)
    SELECT count(*) FROM done
$$;

-- Rows of the scope log become one for each scope and collection. Whatever a snapshot sees of the two
-- adds up: what was folded and the sum come and go in one transaction.
CREATE FUNCTION sync.fold_scope_log(rows_max integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH many AS (
        SELECT tenant_id, scope, collection FROM sync.scope_log
        GROUP BY tenant_id, scope, collection HAVING count(*) > 1 LIMIT rows_max),
    old AS (
        DELETE FROM sync.scope_log WHERE seq IN (
            SELECT l.seq FROM many m JOIN sync.scope_log l
                ON l.tenant_id = m.tenant_id AND l.scope = m.scope AND l.collection = m.collection
            ORDER BY l.tenant_id, l.scope, l.collection LIMIT rows_max FOR UPDATE OF l SKIP LOCKED)
        RETURNING tenant_id, scope, collection, came, went, digest, stamp),
    folded AS (
        INSERT INTO sync.scope_log (tenant_id, scope, collection, came, went, digest, stamp)
        SELECT tenant_id, scope, collection, sum(came), sum(went), bit_xor(digest),
            (array_agg(stamp ORDER BY stamp DESC))[1]
        FROM old GROUP BY tenant_id, scope, collection RETURNING 1)
    SELECT (SELECT count(*) FROM old) - (SELECT count(*) FROM folded)
$$;

REVOKE ALL ON FUNCTION sync.tidy_tokens, sync.tidy_receipts, sync.tidy_tombstones, sync.fold_scope_log
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync.tidy_tokens, sync.tidy_receipts, sync.tidy_tombstones, sync.fold_scope_log
    TO campo_server;
